// SPDX-License-Identifier: BSL-1.0

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <rondo/rondo.hpp>

#include "loop/tasks.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;

namespace {

rondo::task<int&> giving_reference(int& n) {
  co_await rondo::yield();
  co_return n;
}
rondo::task<> stopping_itself() {
  rondo::event_loop::current().stop();
  co_await for_ever();
}
/// Ends when it is canceled, and counts.
rondo::task<> counting_its_end(int& ended) {
  struct counter {
    int& count;
    ~counter() { ++count; }
  } const at_end{ended};
  co_await for_ever();
}

using handler = void (*)(int);
handler disposition(int signal) {
  struct sigaction now {};
  ::sigaction(signal, nullptr, &now);
  return now.sa_handler;
}

}  // namespace

TEST_CASE("run gives the root's value") {
  rondo::event_loop loop;
  CHECK(loop.run(giving(42)) == 42);
  CHECK(loop.run(giving(std::string("text"))) == "text");
  CHECK(*loop.run(giving(std::make_unique<int>(7))) == 7);
  int n = 1;
  int& same = loop.run(giving_reference(n));
  CHECK(&same == &n);
}

TEST_CASE("run takes an operation and a combinator as well as a task") {
  rondo::event_loop loop;
  loop.run(rondo::io::nop());
  loop.run(rondo::sleep_for(1ms));
  const auto both = loop.run(rondo::when_all(giving(1), giving(2)));
  CHECK(both == std::tuple(1, 2));
}

TEST_CASE("run rethrows the root's error, and the loop can be run again") {
  rondo::event_loop loop;
  for (int i = 0; i < 3; ++i) CHECK_THROWS_AS(loop.run(throwing()), std::runtime_error);
  CHECK(loop.run(giving(1)) == 1);
}

TEST_CASE("run inside run is a logic_error, on the same loop and on another") {
  rondo::event_loop outer;
  const auto body = [](rondo::event_loop& same) -> rondo::task<> {
    CHECK_THROWS_AS(same.run(giving(1)), std::logic_error);
    rondo::event_loop other;
    CHECK_THROWS_AS(other.run(giving(1)), std::logic_error);
    CHECK_THROWS_AS(rondo::run(giving(1)), std::logic_error);
    CHECK_THROWS_AS(same.run_once(), std::logic_error);
    const int n = co_await giving(5);  // the outer loop is none the worse for it
    CHECK(n == 5);
  };
  outer.run(body(outer));
  CHECK(outer.run(giving(2)) == 2);
}

TEST_CASE("a loop belongs to the first thread that runs it") {
  rondo::event_loop loop;  // constructed here, bound there
  std::optional<int> there;
  std::thread([&] { there = loop.run(giving(1)); }).join();
  CHECK(there == 1);
  try {
    loop.run(giving(2));
    FAIL("a second thread ran the loop");
  } catch (const std::logic_error& e) {
    CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring("belongs to the thread"));
  }
  CHECK_THROWS_AS(loop.run_once(), std::logic_error);
}

TEST_CASE("current is the running loop, and a logic_error outside one") {
  CHECK_THROWS_AS(rondo::event_loop::current(), std::logic_error);
  rondo::event_loop loop;
  const auto body = [](rondo::event_loop& mine) -> rondo::task<> {
    CHECK(&rondo::event_loop::current() == &mine);
    co_await rondo::yield();
    CHECK(&rondo::event_loop::current() == &mine);
  };
  loop.run(body(loop));
  CHECK_THROWS_AS(rondo::event_loop::current(), std::logic_error);
  CHECK_THROWS_AS(rondo::spawn(giving(1)), std::logic_error);
}

TEST_CASE("a loop is run a thousand times") {
  const auto before = rondo_test::open_descriptors();
  {
    rondo::event_loop loop;
    for (int i = 0; i < 1000; ++i) {
      if (loop.run(giving(i)) != i) FAIL("a wrong answer");
    }
  }
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("a thousand loops come and go, and leave nothing open") {
  const auto before = rondo_test::open_descriptors();
  for (int i = 0; i < 1000; ++i) {
    rondo::loop_options options;
    options.entries = 4;
    if (rondo::run(giving(i), options) != i) FAIL("a wrong answer");
  }
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("stop before run lets the next root start canceled, and only that one") {
  rondo::event_loop loop;
  loop.stop();
  loop.stop();
  int ended = 0;
  CHECK_THROWS_AS(loop.run(counting_its_end(ended)), rondo::operation_canceled);
  CHECK(ended == 1);
  CHECK(loop.run(giving(3)) == 3);
}

TEST_CASE("stop ends a root that sleeps") {
  rondo::event_loop loop;
  SECTION("called by itself") {
    CHECK_THROWS_AS(loop.run(stopping_itself()), rondo::operation_canceled);
  }
  SECTION("called by another thread, again and again") {
    for (int i = 0; i < 200; ++i) {
      std::thread other([&] { loop.stop(); });
      CHECK_THROWS_AS(loop.run(for_ever()), rondo::operation_canceled);
      other.join();
    }
  }
}

namespace {
rondo::event_loop* to_be_stopped = nullptr;
}

TEST_CASE("stop may be called in a signal handler") {
  rondo::event_loop loop;
  to_be_stopped = &loop;
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = [](int) { to_be_stopped->stop(); };
  ::sigaction(SIGUSR1, &action, &old);
  for (int i = 0; i < 100; ++i) {
    const pthread_t me = ::pthread_self();
    std::thread other([me] { ::pthread_kill(me, SIGUSR1); });
    CHECK_THROWS_AS(loop.run(for_ever()), rondo::operation_canceled);
    other.join();
  }
  ::sigaction(SIGUSR1, &old, nullptr);
}

TEST_CASE("a signal that means nothing to the loop does not disturb its sleep") {
  struct sigaction action {};
  struct sigaction old {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, &old);
  std::atomic<bool> done{false};
  const pthread_t me = ::pthread_self();
  std::thread other([&] {
    while (!done) {
      ::pthread_kill(me, SIGUSR1);
      std::this_thread::sleep_for(200us);
    }
  });
  const auto begin = std::chrono::steady_clock::now();
  rondo::run(rondo::sleep_for(20ms));
  const auto took = std::chrono::steady_clock::now() - begin;
  done = true;
  other.join();
  ::sigaction(SIGUSR1, &old, nullptr);
  CHECK(took >= 20ms);
}

TEST_CASE("a root that ends with a value after stop gives its value") {
  const auto stubborn = []() -> rondo::task<int> {
    rondo::event_loop::current().stop();
    try {
      co_await for_ever();
    } catch (const rondo::operation_canceled&) {
    }
    co_return 8;
  };
  CHECK(rondo::run(stubborn()) == 8);
}

TEST_CASE("what was spawned is canceled and has ended before run returns") {
  int ended = 0;
  const auto root = [](int& count) -> rondo::task<int> {
    for (int i = 0; i < 100; ++i) static_cast<void>(rondo::spawn(counting_its_end(count)));
    co_await rondo::yield();
    co_return 1;
  };
  rondo::event_loop loop;
  CHECK(loop.run(root(ended)) == 1);
  CHECK(ended == 100);

  SECTION("also when the root fails") {
    const auto failing = [](int& count) -> rondo::task<> {
      static_cast<void>(rondo::spawn(counting_its_end(count)));
      co_await rondo::yield();
      throw std::runtime_error("failed");
    };
    CHECK_THROWS_AS(loop.run(failing(ended)), std::runtime_error);
    CHECK(ended == 101);
  }
}

TEST_CASE(
    "a task that spawns while it is being finished is waited for, and so is what it spawned") {
  std::vector<std::string> log;
  const auto child = [](std::vector<std::string>& l) -> rondo::task<> {
    const std::error_code code = co_await code_of(rondo::sleep_for(1h));
    l.push_back(code == rondo::errc::canceled ? "child started canceled" : "child slept");
  };
  const auto parent = [child](std::vector<std::string>& l) -> rondo::task<> {
    try {
      co_await for_ever();
    } catch (const rondo::operation_canceled&) {
      static_cast<void>(rondo::spawn(child(l)));
      l.push_back("parent has spawned");
      throw;
    }
  };
  const auto root = [parent](std::vector<std::string>& l) -> rondo::task<> {
    static_cast<void>(rondo::spawn(parent(l)));
    co_await round_trip();
  };
  rondo::event_loop loop;
  loop.run(root(log));
  CHECK(log == std::vector<std::string>{"parent has spawned", "child started canceled"});
  log.clear();
  loop.run(root(log));
  CHECK(log.size() == 2);
}

TEST_CASE("what is spawned after a run that was finished does not start canceled") {
  rondo::event_loop loop;
  loop.run(giving(1));
  const auto root = []() -> rondo::task<int> {
    auto h = rondo::spawn(giving(4));
    co_return co_await h;
  };
  CHECK(loop.run(root()) == 4);
}

TEST_CASE("a task that ignores its cancellation for a while is waited for") {
  bool ended = false;
  const auto stubborn = [](bool& flag) -> rondo::task<> {
    pipe_ends pipe;
    char byte;
    for (int i = 0; i < 10; ++i) {
      const std::error_code c =
          co_await code_of(rondo::io::read(pipe.out(), rondo::mutable_buffer(&byte, 1)));
      if (c != rondo::errc::canceled) co_return;
    }
    flag = true;
  };
  const auto root = [stubborn](bool& flag) -> rondo::task<> {
    static_cast<void>(rondo::spawn(stubborn(flag)));
    co_await round_trip();
  };
  rondo::run(root(ended));
  CHECK(ended);
}

TEST_CASE("what was spawned before run starts in it") {
  rondo::event_loop loop;
  auto h = loop.spawn(giving(11));
  CHECK_FALSE(h.done());
  const auto root = [](rondo::join_handle<int> handle) -> rondo::task<int> {
    co_return co_await handle;
  };
  CHECK(loop.run(root(std::move(h))) == 11);
}

TEST_CASE("a loop that is destroyed ends what was spawned on it and never ran") {
  const auto live = rondo_test::live_blocks();
  int ended = 0;
  auto argument = std::make_shared<int>(0);
  const auto body = [](int& count, std::shared_ptr<int> kept) -> rondo::task<> {
    co_await counting_its_end(count);
    *kept = 1;
  };
  {
    rondo::event_loop loop;
    for (int i = 0; i < 10; ++i) static_cast<void>(loop.spawn(body, std::ref(ended), argument));
    CHECK(argument.use_count() == 11);
  }
  CHECK(ended == 10);
  CHECK(argument.use_count() == 1);
  CHECK(*argument == 0);
  argument.reset();
  if constexpr (RONDO_FRAME_POOL == 0) CHECK(rondo_test::live_blocks() == live);
}

TEST_CASE("a loop that has never run is destroyed by whoever has it") {
  auto loop = std::make_unique<rondo::event_loop>();
  std::thread([&] { loop.reset(); }).join();
  CHECK(loop == nullptr);
}

TEST_CASE("a loop may be destroyed inside another loop's task") {
  int ended = 0;
  const auto root = [](int& count) -> rondo::task<> {
    {
      rondo::event_loop other;
      static_cast<void>(other.spawn(counting_its_end(count)));
    }
    CHECK(count == 1);
    co_await rondo::sleep_for(1ms);  // this one still runs
  };
  rondo::run(root(ended));
}

TEST_CASE("two loops in two threads do not know of each other") {
  std::atomic<int> right{0};
  const auto work = [&right] {
    const auto root = []() -> rondo::task<int> {
      int sum = 0;
      for (int i = 0; i < 200; ++i) {
        pipe_ends pipe;
        char byte = 'x';
        co_await rondo::when_all(rondo::io::write(pipe.in(), "y"),
                                 rondo::io::read(pipe.out(), rondo::mutable_buffer(&byte, 1)));
        sum += byte == 'y' ? 1 : 0;
        co_await rondo::sleep_for(10us);
      }
      co_return sum;
    };
    if (rondo::run(root()) == 200) ++right;
  };
  std::thread a(work);
  std::thread b(work);
  a.join();
  b.join();
  CHECK(right == 2);
}

TEST_CASE("writing to a pipe whose reader has gone is an error of that write") {
  const int status = in_child([] {
    ::signal(SIGPIPE, SIG_DFL);
    const auto root = []() -> rondo::task<int> {
      pipe_ends pipe;
      pipe.reader = rondo::descriptor();
      const std::error_code code = co_await code_of(rondo::io::write(pipe.in(), "x"));
      co_return code == std::errc::broken_pipe ? 7 : 8;
    };
    return rondo::run(root());
  });
  CHECK(exited_with(status, 7));
}

TEST_CASE("SIGPIPE is ignored while a loop runs, and only then") {
  const handler before = disposition(SIGPIPE);
  ::signal(SIGPIPE, SIG_DFL);
  const auto root = []() -> rondo::task<handler> {
    co_await rondo::yield();
    co_return disposition(SIGPIPE);
  };
  CHECK(rondo::run(root()) == SIG_IGN);
  CHECK(disposition(SIGPIPE) == SIG_DFL);
  CHECK_THROWS(rondo::run(throwing()));
  CHECK(disposition(SIGPIPE) == SIG_DFL);

  SECTION("unless the loop is told not to") {
    rondo::loop_options options;
    options.ignore_sigpipe = false;
    CHECK(rondo::run(root(), options) == SIG_DFL);
  }
  SECTION("unless the program has a handler of its own") {
    const handler mine = [](int) {};
    ::signal(SIGPIPE, mine);
    CHECK(rondo::run(root()) == mine);
    CHECK(disposition(SIGPIPE) == mine);
  }
  ::signal(SIGPIPE, before);
}

TEST_CASE("SIGPIPE stays ignored until the last of several loops has ended") {
  const handler before = disposition(SIGPIPE);
  ::signal(SIGPIPE, SIG_DFL);
  std::atomic<int> stage{0};
  const auto reach = [&stage](int n) { stage = n; };
  const auto wait = [&stage](int n) {
    while (stage < n) std::this_thread::yield();
  };
  handler in_second = SIG_DFL;
  const auto first = [&]() -> rondo::task<> {
    reach(1);
    wait(2);
    co_return;
  };
  const auto second = [&]() -> rondo::task<> {
    reach(2);
    wait(3);
    in_second = disposition(SIGPIPE);
    co_return;
  };
  std::thread a([&] {
    rondo::run(first());
    reach(3);
  });
  std::thread b([&] {
    wait(1);
    rondo::run(second());
  });
  a.join();
  b.join();
  CHECK(in_second == SIG_IGN);
  CHECK(disposition(SIGPIPE) == SIG_DFL);
  ::signal(SIGPIPE, before);
}

TEST_CASE("run_once does what is ready and returns") {
  rondo::event_loop loop;
  CHECK_FALSE(loop.run_once());
  pipe_ends pipe;
  char byte = 0;
  auto reading = loop.spawn([&]() -> rondo::task<std::size_t> {
    co_return co_await rondo::io::read(pipe.out(), rondo::mutable_buffer(&byte, 1));
  });
  for (int i = 0; i < 10; ++i) CHECK(loop.run_once());  // there is something to wait for
  CHECK_FALSE(reading.done());
  REQUIRE(::write(pipe.in(), "z", 1) == 1);
  while (loop.run_once()) {
  }
  CHECK(reading.done());
  CHECK(byte == 'z');
}

TEST_CASE("run_once waits for as long as it is told") {
  rondo::event_loop loop;
  pipe_ends pipe;
  char byte = 0;
  auto reading = loop.spawn([&]() -> rondo::task<> {
    co_await rondo::io::read(pipe.out(), rondo::mutable_buffer(&byte, 1));
  });
  while (loop.stats().turns < 3) loop.run_once();
  const auto begin = std::chrono::steady_clock::now();
  CHECK(loop.run_once(20ms));
  CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
  std::thread writer([&] { CHECK(::write(pipe.in(), "q", 1) == 1); });
  while (!reading.done()) loop.run_once(std::chrono::nanoseconds::max());
  writer.join();
  CHECK(byte == 'q');
}

TEST_CASE("run_once says that something is left as long as a timer or a post is") {
  rondo::event_loop loop;
  auto sleeping = loop.spawn([]() -> rondo::task<> { co_await rondo::sleep_for(5ms); });
  CHECK(loop.run_once());  // it has started, and sleeps
  CHECK(!sleeping.done());
  while (loop.run_once(1ms)) CHECK(!sleeping.done());
  CHECK(sleeping.done());

  int ran = 0;
  loop.post([&] { loop.post([&] { loop.post([&] { ++ran; }); }); });
  while (loop.run_once()) {
  }
  CHECK(ran == 1);
}

TEST_CASE("a failure that nobody asked for is reported once") {
  std::vector<std::string> reports;
  rondo::loop_options options;
  options.on_unhandled = [&](const rondo::unhandled_error& e) {
    CHECK(e.what == rondo::unhandled_error::kind::spawned);
    reports.push_back(std::string(e.name) + ": " + e.message);
  };
  rondo::event_loop loop(options);
  static_cast<void>(loop.spawn(throwing(), {.name = "worker"}));
  loop.run(yields(10));
  CHECK(reports == std::vector<std::string>{"worker: it failed"});
}

ON_BOTH_RINGS("who is ready when a root that is no task ends is canceled before it runs", {
  rondo::event_loop loop;
  const auto moment = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
  bool canceled = false;
  static_cast<void>(loop.spawn([&]() -> rondo::task<> {
    co_await rondo::sleep_until(moment);
    canceled = co_await rondo::cancellation_requested();
  }));
  loop.run(rondo::sleep_until(moment));
  CHECK(canceled);
})

TEST_CASE("the default report is one line on stderr, and nothing for suppressed errors") {
  const auto printed = stderr_of([] {
    rondo::event_loop loop;
    static_cast<void>(loop.spawn(throwing(), {.name = "worker"}));
    static_cast<void>(loop.spawn(throwing()));
    loop.report({rondo::unhandled_error::kind::suppressed, {}, nullptr, "not to be seen"});
    loop.run(yields(10));
    return 0;
  });
  CHECK(exited_with(printed.status, 0));
  CHECK(printed.text ==
        "rondo: unhandled error in task worker: it failed\n"
        "rondo: unhandled error in a task: it failed\n");
}

// Of liburing 2.4 and newer: it gives up a registered descriptor by its number on whatever thread.
TEST_CASE("a loop that another thread has run may be destroyed where a loop runs") {
  using namespace rondo;
  run([]() -> task<> {
    auto other = std::make_unique<event_loop>();
    std::thread([&] {
      other->run([]() -> task<> { co_await io::nop(); }());
    }).join();
    other.reset();
    co_await io::nop();  // the ring of this thread is still there
    co_await sleep_for(std::chrono::milliseconds(1));
  }());
}
