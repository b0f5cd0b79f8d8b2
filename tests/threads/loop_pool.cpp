// SPDX-License-Identifier: BSL-1.0

#include <rondo/threads/loop_pool.hpp>

#include <sched.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <rondo/threads/on.hpp>

#include <rondo/rondo.hpp>

#include "loop/tasks.hpp"
#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::loop_pool;
using rondo::on;
using rondo::task;

namespace {

template <typename F>
std::string words_of_run(loop_pool& pool, F body) {
  try {
    pool.run(body);
  } catch (const std::exception& e) {
    return e.what();
  } catch (const rondo::operation_canceled& e) {
    return e.what();
  }
  return "";
}

}  // namespace

ON_BOTH_RINGS("each loop of a pool runs the body once, in a thread of its own", {
  loop_pool pool(3);
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::set<std::size_t> indices;
  std::set<rondo::event_loop*> loops;
  for (int round = 0; round < 2; ++round) {
    indices.clear();
    pool.run([&](std::size_t i) -> task<> {
      co_await rondo::sleep_for(1ms);
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
      loops.insert(&rondo::event_loop::current());
      indices.insert(i);
    });
    CHECK(indices == std::set<std::size_t>{0, 1, 2});
  }
  CHECK(threads.size() == 3);
  CHECK(threads.count(std::this_thread::get_id()) == 0);
  CHECK(loops == std::set<rondo::event_loop*>{&pool.loop(0), &pool.loop(1), &pool.loop(2)});
})

ON_BOTH_RINGS("each loop of a pool gets a copy of the arguments", {
  loop_pool pool(2);
  std::atomic<int> sum{0};
  pool.run(
      [](std::size_t, std::vector<int> mine, std::atomic<int>* total) -> task<> {
        mine.push_back(3);
        for (const int n : mine) *total += n;
        co_return;
      },
      std::vector<int>{1, 2}, &sum);
  CHECK(sum == 12);
})

TEST_CASE("a pool of no given size has a loop for each processor of the process") {
  cpu_set_t mine;
  REQUIRE(::sched_getaffinity(0, sizeof mine, &mine) == 0);
  const loop_pool pool;
  CHECK(pool.size() == static_cast<std::size_t>(CPU_COUNT(&mine)));
}

TEST_CASE("a pinned thread stays on one of the processors of the process") {
  cpu_set_t mine;
  REQUIRE(::sched_getaffinity(0, sizeof mine, &mine) == 0);
  loop_pool pool(5, {.pin = true});
  std::atomic<int> right{0};
  pool.run([&](std::size_t) -> task<> {
    cpu_set_t here;
    ::sched_getaffinity(0, sizeof here, &here);
    cpu_set_t both;
    CPU_AND(&both, &here, &mine);
    if (CPU_COUNT(&here) == 1 && CPU_COUNT(&both) == 1) ++right;
    co_return;
  });
  CHECK(right == 5);
}

ON_BOTH_RINGS("the first error cancels the work of the others and is thrown", {
  loop_pool pool(3);
  std::atomic<int> canceled{0};
  const auto body = [&](std::size_t i) -> task<> {
    if (i == 1) throw std::out_of_range("of the second");
    co_await rondo::finally(rondo::sleep_for(1h), [&] { ++canceled; });
  };
  CHECK(words_of_run(pool, body) == "of the second");
  CHECK(canceled == 2);
  CHECK(words_of_run(pool, [](std::size_t) -> task<> { co_return; }).empty());
})

ON_BOTH_RINGS("a body that ends as canceled ends the run as canceled", {
  loop_pool pool(2);
  const auto body = [](std::size_t i) -> task<> {
    if (i == 0) throw rondo::operation_canceled();
    co_await rondo::sleep_for(1h);
  };
  CHECK_THROWS_AS(pool.run(body), rondo::operation_canceled);
})

ON_BOTH_RINGS("a loop whose own work has ended still answers the others", {
  loop_pool pool(3);
  std::atomic<int> sum{0};
  pool.run([&](std::size_t i) -> task<> {
    if (i != 0) co_return;
    co_await rondo::sleep_for(2ms);
    for (std::size_t j = 0; j < pool.size(); ++j) {
      sum += co_await on(pool.loop(j), giving(static_cast<int>(j) + 1));
    }
  });
  CHECK(sum == 6);
})

ON_BOTH_RINGS("what was spawned on a loop of the pool is ended before run returns", {
  loop_pool pool(2);
  std::atomic<int> ended{0};
  pool.run([&](std::size_t i) -> task<> {
    rondo::spawn([](loop_pool& all, std::size_t other, std::atomic<int>& e) -> task<> {
      // Its cleanup asks the other loop, which may be about to end, too.
      co_await rondo::finally(rondo::sleep_for(1h), [&]() -> task<> {
        const auto asked = co_await rondo::as_result(on(all.loop(other), giving(1)));
        if (asked.has_value() || asked.error() == rondo::errc::canceled) ++e;
      });
    }, std::ref(pool), 1 - i, std::ref(ended));
    co_await rondo::yield();
    co_await rondo::yield();
  });
  CHECK(ended == 2);
})

ON_BOTH_RINGS("stopping one loop of a pool ends the work of all", {
  loop_pool pool(2);
  std::jthread stopper;
  const auto body = [&](std::size_t i) -> task<> {
    if (i == 0) stopper = std::jthread([&] { pool.loop(0).stop(); });
    if (i == 1) co_await rondo::sleep_for(1h);
  };
  CHECK_THROWS_AS(pool.run(body), rondo::operation_canceled);
})

TEST_CASE("Ctrl-C cancels the work of a pool, and run throws interrupted") {
  struct sigaction before {};
  ::sigaction(SIGINT, nullptr, &before);
  ::signal(SIGINT, SIG_DFL);  // as a program finds it; Catch2 has its own
  loop_pool pool(2);
  const auto body = [](std::size_t i) -> task<> {
    if (i == 1) ::kill(::getpid(), SIGINT);
    co_await rondo::sleep_for(1h);
  };
  CHECK_THROWS_AS(pool.run(body), rondo::interrupted);
  ::sigaction(SIGINT, &before, nullptr);
}

LOOP_TEST("a pool is not run inside a running loop, which it would block") {
  loop_pool pool(1);
  const std::string what = words_of_run(pool, [](std::size_t) -> task<> { co_return; });
  CHECK(what == "rondo: loop_pool::run inside a running loop would block it");
  co_return;
}

ON_BOTH_RINGS("a pool that cannot be made leaves nothing behind", {
  for (rlim_t more = 0; more < 20; ++more) {  // so each descriptor of a loop is once the one too many
    const std::size_t before = rondo_test::open_descriptors();
    std::string what;
    {
      const rondo_test::descriptor_limit low(more);
      try {
        const loop_pool pool(64);
      } catch (const std::system_error& e) {
        what = e.what();
      }
    }
    CHECK_FALSE(what.empty());
    CHECK(rondo_test::open_descriptors() == before);
  }
})

ON_BOTH_RINGS("what is brought to a loop after its last run is dropped with the pool", {
  const auto brought = std::make_shared<int>(0);
  {
    loop_pool pool(2);
    pool.run([](std::size_t) -> task<> { co_return; });
    pool.loop(1).post([brought] { ++*brought; });
    CHECK(brought.use_count() == 2);
  }
  CHECK(brought.use_count() == 1);
  CHECK(*brought == 0);
})

TEST_CASE("the arguments that a body takes by reference last as long as it runs") {
  using namespace rondo;
  loop_pool pool(2);
  const std::string name = "a name that is longer than what a string keeps inside itself";
  std::atomic<int> right{0};
  pool.run(
      [&](std::size_t, const std::string& its) -> task<> {
        co_await yield();
        if (its == name) ++right;
      },
      name);
  CHECK(right == 2);
}

TEST_CASE("what does not end in time is an error of the pool's run, though it takes longer still") {
  using namespace rondo;
  loop_pool_options options;
  options.loop.drain_timeout = std::chrono::milliseconds(1);
  options.loop.on_unhandled = [](const unhandled_error&) {};
  loop_pool pool(1, options);
  const auto stubborn = []() -> task<> { co_await shield(sleep_for(std::chrono::milliseconds(200))); };
  const auto body = [&](std::size_t) -> task<> {
    spawn(stubborn());
    co_await yield();
  };
  CHECK_THROWS_AS(pool.run(body), drain_error);
}
