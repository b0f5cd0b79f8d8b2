// SPDX-License-Identifier: BSL-1.0

#include <rondo/time/sleep.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::sleep_for;
using rondo::sleep_until;
using rondo::task;
using std::chrono::steady_clock;

namespace {

template <typename Duration>
task<> noting(std::vector<int>& log, int number, Duration duration) {
  co_await sleep_for(duration);
  log.push_back(number);
}
task<> noting_until(std::vector<int>& log, int number, rondo::time_point then) {
  co_await sleep_until(then);
  log.push_back(number);
}

task<> noting_yields(std::string& log, char name, int count) {
  for (int i = 0; i < count; ++i) {
    log += name;
    co_await rondo::yield();
  }
}

/// Burns time without giving control back.
void compute_for(steady_clock::duration duration) {
  const auto end = steady_clock::now() + duration;
  while (steady_clock::now() < end) {
  }
}

}  // namespace

// sleep_for

LOOP_TEST("a sleep is never shorter than asked") {
  for (const auto duration : {1us, 50us, 900us, 3000us}) {
    const auto begin = steady_clock::now();
    co_await sleep_for(duration);
    const auto took = steady_clock::now() - begin;
    CHECK(took >= duration);
  }
}

LOOP_TEST("a sleep is measured from its await, not from the start of the turn") {
  compute_for(20ms);
  const auto begin = steady_clock::now();
  co_await sleep_for(10ms);
  const auto took = steady_clock::now() - begin;
  CHECK(took >= 10ms);
}

LOOP_TEST("a sleep of a fraction of a nanosecond is rounded up and never down") {
  const auto begin = steady_clock::now();
  co_await sleep_for(std::chrono::duration<double, std::milli>(2.5));
  co_await sleep_for(std::chrono::duration<double, std::nano>(0.1));
  CHECK(steady_clock::now() - begin >= 2500us);
}

VIRTUAL_TEST("sleepers wake in order of their deadlines") {
  std::vector<int> log;
  std::vector<task<>> sleepers;
  const auto begin = now();
  for (const int us : {9, 1, 7, 3, 5}) {
    sleepers.push_back(noting_until(log, us, begin + std::chrono::microseconds(us)));
  }
  co_await rondo::when_all(std::move(sleepers));
  CHECK(log == std::vector<int>{1, 3, 5, 7, 9});
}

VIRTUAL_TEST("sleepers with the same deadline wake in the order in which they lay down") {
  std::vector<int> log;
  const auto then = now() + 3ms;
  std::vector<task<>> sleepers;
  std::vector<int> expected;
  for (int i = 0; i < 100; ++i) {
    sleepers.push_back(noting_until(log, i, then));
    expected.push_back(i);
  }
  co_await rondo::when_all(std::move(sleepers));
  CHECK(log == expected);
}

ON_BOTH_RINGS("of many that are due after one sleep of the loop, no one sleeps on", {
  rondo::loop_options options;
  options.timer_slack = 200ms;
  std::vector<std::uint64_t> calls;
  const auto sleeper = [&calls](rondo::time_point moment) -> task<> {
    co_await rondo::sleep_until(moment);
    calls.push_back(rondo::event_loop::current().stats().system_calls);
  };
  const auto all = [&sleeper]() -> task<> {
    std::vector<task<>> sleepers;
    const auto begin = rondo::event_loop::current().now() + 100ms;  // when all are asleep
    for (int i = 0; i < 200; ++i) sleepers.push_back(sleeper(begin + (i < 64 ? 1ms : 10ms)));
    co_await rondo::when_all(std::move(sleepers));
  };
  rondo::run(all(), options);
  REQUIRE(calls.size() == 200);
  CHECK(calls.front() == calls.back());
})

LOOP_TEST("a sleep of zero or less is a yield") {
  std::vector<int> log;
  auto& loop = rondo::event_loop::current();
  const auto calls = loop.stats().system_calls;
  co_await rondo::when_all(noting(log, 1, 0s), noting(log, 2, -1h), noting(log, 3, -1ns),
                           noting(log, 4, std::chrono::nanoseconds::min()),
                           noting(log, 5, std::chrono::hours::min()));
  CHECK(log == std::vector<int>{1, 2, 3, 4, 5});
  CHECK(loop.stats().system_calls == calls);
  CHECK(loop.stats().timers == 0);
}

VIRTUAL_TEST("the longest sleep of any clock unit is for ever, until it is canceled") {
  const auto for_ever = [](auto duration) -> task<> { co_await sleep_for(duration); };
  std::vector<rondo::join_handle<>> sleepers;
  sleepers.push_back(rondo::spawn(for_ever(std::chrono::nanoseconds::max())));
  sleepers.push_back(rondo::spawn(for_ever(std::chrono::hours::max())));
  sleepers.push_back(rondo::spawn(for_ever(steady_clock::duration::max())));
  sleepers.push_back(rondo::spawn(for_ever(std::chrono::duration<double>(1e300))));
  sleepers.push_back(rondo::spawn(for_ever(std::chrono::nanoseconds::max() - 1ns)));
  co_await sleep_for(2ms);
  for (auto& s : sleepers) {
    CHECK_FALSE(s.done());
    s.cancel();
    const std::error_code code = co_await code_of(s.wait());
    CHECK(code == std::error_code());
    CHECK(s.done());
  }
}

VIRTUAL_TEST("a thousand sleepers of random lengths wake in order") {
  std::vector<int> log;
  std::vector<task<>> sleepers;
  unsigned random = 12345;
  const auto begin = now();
  for (int i = 0; i < 1000; ++i) {
    random = random * 1664525 + 1013904223;
    const int us = static_cast<int>(random >> 16) % 20'000;
    sleepers.push_back(noting_until(log, us, begin + std::chrono::microseconds(us)));
  }
  co_await rondo::when_all(std::move(sleepers));
  CHECK(log.size() == 1000);
  CHECK(std::is_sorted(log.begin(), log.end()));
}

// sleep_until

LOOP_TEST("sleep_until ends at its moment and not before") {
  const auto then = steady_clock::now() + 5ms;
  co_await sleep_until(then);
  CHECK(steady_clock::now() >= then);
}

LOOP_TEST("sleep_until a moment that has passed is a yield") {
  auto& loop = rondo::event_loop::current();
  const auto calls = loop.stats().system_calls;
  co_await sleep_until(steady_clock::now() - 1h);
  co_await sleep_until(rondo::time_point::min());
  co_await sleep_until(rondo::time_point());
  CHECK(loop.stats().system_calls == calls);
}

VIRTUAL_TEST("sleep_until the end of time sleeps until it is canceled") {
  auto sleeper = rondo::spawn(code_of(sleep_until(rondo::time_point::max())));
  co_await sleep_for(1ms);
  CHECK_FALSE(sleeper.done());
  sleeper.cancel();
  const std::error_code code = co_await sleeper;
  CHECK(code == rondo::errc::canceled);
}

// yield

LOOP_TEST("yield lets everybody else who is ready run first") {
  std::string log;
  co_await rondo::when_all(noting_yields(log, 'a', 3), noting_yields(log, 'b', 3),
                           noting_yields(log, 'c', 3));
  CHECK(log == "abcabcabc");
}

LOOP_TEST("a task that yields for ever keeps neither the kernel nor the clock waiting") {
  bool done = false;
  const auto busy = [](bool& stop) -> task<> {
    while (!stop) co_await rondo::yield();
  };
  const auto other = [](bool& stop) -> task<> {
    pipe_ends pipe;
    char byte;
    co_await sleep_for(1ms);
    co_await rondo::when_all(rondo::io::write(pipe.in(), "x"),
                             rondo::io::read(pipe.out(), rondo::mutable_buffer(&byte, 1)));
    stop = true;
  };
  co_await rondo::when_all(busy(done), other(done));
  CHECK(done);
}

LOOP_TEST("yields cost hardly any system call") {
  auto& loop = rondo::event_loop::current();
  co_await round_trip();
  const auto calls = loop.stats().system_calls;
  co_await yields(10'000);
  CHECK(loop.stats().system_calls - calls < 10'000 / 64 + 10);
}

// Cancellation

LOOP_TEST("a sleeper that is canceled wakes at once, and leaves no timer behind") {
  auto& loop = rondo::event_loop::current();
  auto sleeper = rondo::spawn(code_of(sleep_for(1h)));
  co_await rondo::yield();
  CHECK(loop.stats().timers == 1);
  const auto begin = steady_clock::now();
  sleeper.cancel();
  CHECK(loop.stats().timers == 0);
  const std::error_code code = co_await sleeper;
  CHECK(code == rondo::errc::canceled);
  CHECK(steady_clock::now() - begin < 1min);
}

VIRTUAL_TEST("a sleeper whose time has come is not canceled any more") {
  // Both are due in the same turn, and this task wakes first.
  const auto then = now() + 2ms;
  auto sleeper = rondo::spawn(code_of(sleep_until(then)));
  co_await sleep_until(then);
  CHECK_FALSE(sleeper.done());
  sleeper.cancel();
  const std::error_code code = co_await sleeper;
  CHECK(code == std::error_code());
}

LOOP_TEST("sleeps and yields in a canceled scope are refused, and arm no timer") {
  auto& loop = rondo::event_loop::current();
  auto sleeping = rondo::spawn(code_of(sleep_for(1h)));
  auto sleeping_until = rondo::spawn(code_of(sleep_until(rondo::time_point::max())));
  auto napping = rondo::spawn(code_of(sleep_for(0s)));
  auto yielding = rondo::spawn(code_of(rondo::yield()));
  sleeping.cancel();
  sleeping_until.cancel();
  napping.cancel();
  yielding.cancel();
  co_await rondo::yield();
  CHECK(loop.stats().timers == 0);
  for (auto* refused : {&sleeping, &sleeping_until, &napping, &yielding}) {
    const std::error_code code = co_await *refused;
    CHECK(code == rondo::errc::canceled);
  }
}

LOOP_TEST("a thousand sleepers are canceled in any order") {
  auto& loop = rondo::event_loop::current();
  std::vector<rondo::join_handle<std::error_code>> sleepers;
  for (int i = 0; i < 1000; ++i) {
    sleepers.push_back(
        rondo::spawn(code_of(sleep_for(1h + std::chrono::seconds(i * 7919 % 1000)))));
  }
  co_await rondo::yield();
  CHECK(loop.stats().timers == 1000);
  for (std::size_t i = 0; i < 1000; ++i) sleepers[i * 7 % 1000].cancel();
  CHECK(loop.stats().timers == 0);
  for (auto& s : sleepers) {
    const std::error_code code = co_await s;
    CHECK(code == rondo::errc::canceled);
  }
}

// Dropped

LOOP_TEST("a sleep that is made and dropped does nothing") {
  static_cast<void>(sleep_for(1h));
  static_cast<void>(sleep_until(steady_clock::now() + 1h));
  static_cast<void>(rondo::yield());
  co_await rondo::yield();
  CHECK(rondo::event_loop::current().stats().timers == 0);
}

LOOP_TEST("sleeping and yielding in a loop allocate nothing") {
  const auto both = [](int count) -> task<> {
    for (int i = 0; i < count; ++i) {
      co_await sleep_for(1us);
      co_await rondo::yield();
    }
  };
  co_await both(10);
  auto warm = both(100);
  const auto before = rondo_test::allocations();
  co_await std::move(warm);
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}
