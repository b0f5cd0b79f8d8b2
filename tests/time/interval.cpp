// SPDX-License-Identifier: BSL-1.0

#include <rondo/time/interval.hpp>

#include <chrono>
#include <optional>
#include <stdexcept>

#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::interval;
using rondo::missed_ticks;
using rondo::task;
using rondo::time_point;
using std::chrono::steady_clock;

LOOP_TEST("ticks come one period apart, by the steady clock, and never early") {
  const auto begin = steady_clock::now();
  interval ticks(2ms);
  const auto made = steady_clock::now();
  time_point expected{};
  for (int i = 0; i < 5; ++i) {
    const std::optional<time_point> tick = co_await ticks.next();
    REQUIRE(tick.has_value());
    CHECK(steady_clock::now() >= *tick);
    if (i == 0) {
      CHECK(*tick >= begin + 2ms);
      CHECK(*tick <= made + 2ms);
    } else {
      CHECK(*tick == expected);
    }
    expected = *tick + 2ms;
  }
}

VIRTUAL_TEST("the first tick comes one period after the start, and the others one period apart") {
  const auto begin = now();
  interval ticks(2ms);
  for (int i = 1; i <= 5; ++i) {
    const std::optional<time_point> tick = co_await ticks.next();
    CHECK(tick == begin + i * 2ms);
    CHECK(now() == begin + i * 2ms);
  }
}

VIRTUAL_TEST("starting_now ticks at once, and then one period apart") {
  const auto begin = now();
  interval ticks = interval::starting_now(1h);
  const auto first = co_await ticks.next();
  CHECK(first == begin);
  CHECK(now() == begin);
  const auto second = co_await ticks.next();
  CHECK(second == begin + 1h);
  CHECK(now() == begin + 1h);
}

VIRTUAL_TEST("the longest period of any clock unit is for ever") {
  interval a(std::chrono::nanoseconds::max());
  interval b = interval::starting_now(std::chrono::hours::max(), missed_ticks::delay);
  const auto never = co_await rondo::try_for(1ms, a.next());
  CHECK_FALSE(never.has_value());
  co_await b.next();
  const auto again = co_await rondo::try_for(1ms, b.next());
  CHECK_FALSE(again.has_value());
}

LOOP_TEST("a loop that waits for ticks never ends by itself") {
  interval ticks(100us);
  int count = 0;
  while (const auto tick = co_await ticks.next()) {
    if (++count == 5) break;
  }
  CHECK(count == 5);
}

VIRTUAL_TEST("burst makes up for what was missed, one after the other, and keeps the schedule") {
  interval ticks(5ms);
  const auto first = *co_await ticks.next();
  co_await rondo::sleep_for(23ms);  // through the next four
  for (int i = 1; i <= 4; ++i) {
    const auto tick = *co_await ticks.next();
    CHECK(tick == first + i * 5ms);
    CHECK(now() == first + 23ms);
  }
  const auto next = *co_await ticks.next();
  CHECK(next == first + 25ms);
  CHECK(now() == first + 25ms);
}

VIRTUAL_TEST("delay gives a late tick once, and the next one a whole period later") {
  interval ticks(5ms, missed_ticks::delay);
  const auto first = *co_await ticks.next();
  co_await rondo::sleep_for(23ms);
  const auto late = *co_await ticks.next();
  CHECK(late == first + 5ms);  // it had been due
  CHECK(now() == first + 23ms);
  const auto next = *co_await ticks.next();
  CHECK(next == first + 28ms);
  CHECK(now() == first + 28ms);
}

VIRTUAL_TEST("skip leaves out what was missed, and keeps the schedule") {
  interval ticks(5ms, missed_ticks::skip);
  const auto first = *co_await ticks.next();
  co_await rondo::sleep_for(23ms);
  const auto late = *co_await ticks.next();
  CHECK(late == first + 5ms);  // it had been due
  CHECK(now() == first + 23ms);
  const auto next = *co_await ticks.next();
  CHECK(next == first + 25ms);
  CHECK(now() == first + 25ms);
}

VIRTUAL_TEST("delay and skip change nothing for those who are in time") {
  for (const auto missed : {missed_ticks::delay, missed_ticks::skip}) {
    interval ticks = interval::starting_now(1h, missed);
    const auto first = *co_await ticks.next();
    co_await rondo::sleep_for(1h - 1ns);
    const auto next = *co_await ticks.next();
    CHECK(next == first + 1h);
    CHECK(now() == first + 1h);
  }
}

VIRTUAL_TEST("a canceled next loses no tick") {
  const auto begin = now();
  interval ticks(5ms);
  for (int i = 1; i <= 4; ++i) {
    const auto tried = co_await rondo::try_for(1ms, ticks.next());
    CHECK_FALSE(tried.has_value());
    CHECK(now() == begin + i * 1ms);
  }
  const auto tick = *co_await ticks.next();
  CHECK(tick == begin + 5ms);
  const auto next = *co_await ticks.next();
  CHECK(next == begin + 10ms);
}

LOOP_TEST("a next that is made and dropped, or canceled before it starts, loses no tick") {
  const auto begin = steady_clock::now();
  interval ticks = interval::starting_now(1h);
  static_cast<void>(ticks.next());
  auto waits = rondo::spawn(code_of(ticks.next()));
  waits.cancel();
  const std::error_code code = co_await waits;
  CHECK(code == rondo::errc::canceled);
  const auto tick = *co_await ticks.next();
  CHECK(tick >= begin);
  CHECK(tick <= steady_clock::now());
}

LOOP_TEST("a tick costs no allocation") {
  interval ticks(1ns);
  co_await ticks.next();
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 100; ++i) co_await ticks.next();
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}

TEST_CASE("a period must be positive") {
  CHECK_THROWS_AS(interval(0s), std::invalid_argument);
  CHECK_THROWS_AS(interval(-1ms, missed_ticks::skip), std::invalid_argument);
  CHECK_THROWS_AS(interval::starting_now(0ns), std::invalid_argument);
  CHECK_NOTHROW(interval(std::chrono::duration<double, std::nano>(0.25)));  // rounded up
}

LOOP_TEST("an interval is closed like other streams, and nothing comes of it") {
  interval ticks = interval::starting_now(1h);
  co_await ticks.close();
  const auto first = co_await ticks.next();
  CHECK(first);
}
