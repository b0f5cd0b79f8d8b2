// SPDX-License-Identifier: BSL-1.0

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;

namespace {

rondo::task<> wait_for(const bool& flag) {
  while (!flag) co_await rondo::sleep_for(1h);
}

rondo::task<int> twice(int n) {
  co_await rondo::yield();
  co_return 2 * n;
}

rondo::task<int> failing() {
  co_await rondo::yield();
  throw std::runtime_error("the submitted task failed");
}

}  // namespace

LOOP_TEST("posts run in the order in which they were posted, and not inside post") {
  auto& loop = rondo::event_loop::current();
  std::vector<int> log;
  for (int i = 0; i < 1000; ++i) loop.post([&log, i] { log.push_back(i); });
  CHECK(log.empty());
  for (int i = 0; i < 200 && log.size() < 1000; ++i) co_await rondo::yield();
  REQUIRE(log.size() == 1000);
  for (int i = 0; i < 1000; ++i) CHECK(log[static_cast<std::size_t>(i)] == i);
}

LOOP_TEST("what a post posts runs a turn later") {
  auto& loop = rondo::event_loop::current();
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  loop.post([&] {
    first = loop.stats().turns;
    loop.post([&] { second = loop.stats().turns; });
  });
  co_await until([&] { return second != 0; });
  CHECK(second > first);
}

TEST_CASE("a post that posts itself again and again does not keep run from returning") {
  rondo::event_loop loop;
  struct again {
    rondo::event_loop& loop;
    void operator()() const { loop.post(*this); }
  };
  loop.post(again{loop});
  loop.run(yields(500));
}

LOOP_TEST("a post runs on the loop's thread, wherever it came from") {
  auto& loop = rondo::event_loop::current();
  std::thread::id ran;
  bool done = false;
  std::thread other([&] {
    loop.post([&] {
      ran = std::this_thread::get_id();
      done = true;
    });
  });
  co_await until([&] { return done; });
  other.join();
  CHECK(ran == std::this_thread::get_id());
}

TEST_CASE("a post wakes a loop that sleeps") {
  rondo::event_loop loop;
  bool posted = false;
  std::thread other([&] {
    std::this_thread::sleep_for(30ms);  // long enough for the loop to be asleep, most of the time
    loop.post([&] {
      posted = true;
      loop.stop();
    });
  });
  CHECK_THROWS_AS(loop.run(wait_for(posted)), rondo::operation_canceled);
  other.join();
  CHECK(posted);
}

TEST_CASE("a message and a loop that falls asleep never miss each other") {
  // Each answer sends the loop back to sleep just as the next message is on its way.
  rondo::event_loop loop;
  constexpr int rounds = 20'000;
  std::atomic<int> answered{0};
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      loop.post([&] { answered.fetch_add(1); });
      while (answered.load() <= i) std::this_thread::yield();
    }
    loop.stop();
  });
  CHECK_THROWS_AS(loop.run(for_ever()), rondo::operation_canceled);
  other.join();
  CHECK(answered == rounds);
}

LOOP_TEST("a loop that was left alone for long hears a message, whether it sleeps or not") {
  // It does not say any more that it is awake then.
  auto& loop = rondo::event_loop::current();
  constexpr int rounds = 500;
  std::atomic<int> asked{0};
  rondo::event heard;
  std::thread other([&] {
    for (int i = 1; i <= rounds; ++i) {
      while (asked.load() < i) std::this_thread::yield();
      loop.post([&] { heard.set(); });
    }
  });
  for (int i = 1; i <= rounds; ++i) {
    for (int alone = 0; alone < 20; ++alone) co_await rondo::io::nop();
    asked.store(i);
    for (int busy = 0; busy < i % 8; ++busy) co_await rondo::io::nop();
    co_await heard.wait();
    heard.reset();
  }
  other.join();
  CHECK(asked == rounds);
}

TEST_CASE("posts from four threads are all run, those of one thread in order") {
  rondo::event_loop loop;
  constexpr int each = 100'000;
  int next[4] = {0, 0, 0, 0};
  int total = 0;
  int out_of_order = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) {
        loop.post([&, t, i] {
          if (next[t]++ != i) ++out_of_order;
          if (++total == 4 * each) loop.stop();
        });
      }
    });
  }
  CHECK_THROWS_AS(loop.run(for_ever()), rondo::operation_canceled);
  for (auto& t : threads) t.join();
  CHECK(total == 4 * each);
  CHECK(out_of_order == 0);
}

TEST_CASE("what a post throws goes to on_unhandled") {
  std::vector<std::string> reports;
  rondo::loop_options options;
  options.on_unhandled = [&](const rondo::unhandled_error& e) {
    CHECK(e.what == rondo::unhandled_error::kind::post);
    CHECK(e.error != nullptr);
    reports.push_back(e.message);
  };
  rondo::event_loop loop(options);
  int ran = 0;
  loop.post([] { throw std::runtime_error("from a post"); });
  loop.post([&] { ++ran; });
  loop.run(yields(300));
  CHECK(ran == 1);
  CHECK(reports == std::vector<std::string>{"from a post"});
}

TEST_CASE("a post that the loop did not come to is destroyed, and not run") {
  auto token = std::make_shared<int>(1);
  bool ran = false;
  {
    rondo::event_loop never_run;
    for (int i = 0; i < 100; ++i) never_run.post([token, &ran] { ran = true; });
    CHECK(token.use_count() == 101);
  }
  CHECK(token.use_count() == 1);
  {
    rondo::event_loop loop;
    loop.run(yields(1));
    loop.post([token, &ran] { ran = true; });
  }
  CHECK(token.use_count() == 1);
  CHECK_FALSE(ran);
}

TEST_CASE("posts allocate nothing once there were as many, whoever posts, and nothing is leaked") {
  if (!rondo_test::heap_is_counted()) SKIP("needs a counted heap");
  rondo::event_loop loop;
  int ran = 0;
  std::size_t live = 0;
  std::size_t posting = 0;
  const auto a_thousand = [&] {
    const auto before = rondo_test::allocations();
    for (int i = 0; i < 1000; ++i) loop.post([&ran] { ++ran; });
    posting = rondo_test::allocations() - before;
  };
  const auto run = [&] {
    loop.run(yields(3000));
    live = rondo_test::live_blocks();
  };
  a_thousand();
  a_thousand();
  run();
  const auto live_before = live;
  a_thousand();
  const auto posting_here = posting;
  run();
  std::thread(a_thousand).join();
  const auto posting_there = posting;
  run();
  const std::size_t each = RONDO_FRAME_POOL ? 0 : 1;
  CHECK(ran == 4000);
  CHECK(posting_here == 1000 * each);
  CHECK(posting_there == 1000 * each);
  CHECK(live == live_before);
}

TEST_CASE("submit gives another thread the task's value") {
  rondo::event_loop loop;
  int got = 0;
  std::thread other([&] {
    got = loop.submit(twice(21)).get();
    loop.stop();
  });
  CHECK_THROWS_AS(loop.run(for_ever()), rondo::operation_canceled);
  other.join();
  CHECK(got == 42);
}

TEST_CASE("submit gives another thread the task's error") {
  rondo::event_loop loop;
  std::string words;
  std::thread other([&] {
    try {
      loop.submit(failing()).get();
    } catch (const std::runtime_error& e) {
      words = e.what();
    }
    loop.submit(yields(1)).get();  // a task of nothing
    loop.stop();
  });
  CHECK_THROWS_AS(loop.run(for_ever()), rondo::operation_canceled);
  other.join();
  CHECK(words == "the submitted task failed");
}

TEST_CASE("a loop that ends first gives the future operation_canceled") {
  SECTION("the task had begun") {
    std::future<void> future;
    rondo::event_loop loop;
    future = loop.submit(for_ever());
    loop.run(yields(300));
    CHECK_THROWS_AS(future.get(), rondo::operation_canceled);
  }
  SECTION("the loop was never run") {
    std::future<int> future;
    {
      rondo::event_loop loop;
      future = loop.submit(twice(1));
    }
    CHECK_THROWS_AS(future.get(), rondo::operation_canceled);
  }
  SECTION("it has run on another thread, and is destroyed here") {
    std::future<int> future;
    bool posted = false;
    {
      rondo::event_loop loop;
      std::thread([&loop] { loop.run(yields(1)); }).join();
      future = loop.submit(twice(1));
      loop.post([&posted] { posted = true; });
    }
    CHECK_THROWS_AS(future.get(), rondo::operation_canceled);
    CHECK(!posted);
  }
}

TEST_CASE("a stop that is requested of its token cancels a submitted task, and no other") {
  rondo::event_loop loop;
  bool canceled = false;
  bool canceled_before = false;
  int other_answer = 0;
  std::stop_source source;
  std::thread other([&] {
    auto stopped = loop.submit(for_ever(), source.get_token());
    auto goes_on = loop.submit(twice(4));
    source.request_stop();
    try {
      stopped.get();
    } catch (const rondo::operation_canceled&) {
      canceled = true;
    }
    other_answer = goes_on.get();
    auto before = loop.submit(for_ever(), source.get_token());  // stopped before it was submitted
    try {
      before.get();
    } catch (const rondo::operation_canceled&) {
      canceled_before = true;
    }
    loop.stop();
  });
  CHECK_THROWS_AS(loop.run(for_ever()), rondo::operation_canceled);
  other.join();
  CHECK(canceled);
  CHECK(canceled_before);
  CHECK(other_answer == 8);
}

TEST_CASE("submitted tasks from four threads all answer") {
  rondo::event_loop loop;
  std::atomic<int> wrong{0};
  std::atomic<int> running{4};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        if (loop.submit(twice(i)).get() != 2 * i) wrong.fetch_add(1);
      }
      if (running.fetch_sub(1) == 1) loop.stop();
    });
  }
  CHECK_THROWS_AS(loop.run(for_ever()), rondo::operation_canceled);
  for (auto& t : threads) t.join();
  CHECK(wrong == 0);
}
