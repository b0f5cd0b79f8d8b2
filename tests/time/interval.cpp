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

namespace {

void work_until(time_point then) {
  while (steady_clock::now() < then) {
  }
}

}  // namespace

LOOP_TEST("the first tick comes one period after the start, and the others one period apart") {
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

LOOP_TEST("starting_now ticks at once, and then one period apart") {
  const auto begin = steady_clock::now();
  interval ticks = interval::starting_now(1h);
  const auto made = steady_clock::now();
  const auto first = co_await ticks.next();
  CHECK(*first >= begin);
  CHECK(*first <= made);
  const auto second = co_await rondo::try_for(1ms, ticks.next());
  CHECK_FALSE(second.has_value());
}

LOOP_TEST("the longest period of any clock unit is for ever") {
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

LOOP_TEST("burst makes up for what was missed, one after the other, and keeps the schedule") {
  interval ticks(5ms);
  const auto first = *co_await ticks.next();
  work_until(first + 23ms);  // through the next four
  for (int i = 1; i <= 4; ++i) {
    const auto tick = co_await rondo::try_for(1h, ticks.next());
    REQUIRE(tick.has_value());
    CHECK(**tick == first + i * 5ms);
  }
  const auto next = *co_await ticks.next();
  CHECK(next == first + 25ms);
  CHECK(steady_clock::now() >= first + 25ms);
}

LOOP_TEST("delay gives a late tick once, and the next one a whole period later") {
  interval ticks(5ms, missed_ticks::delay);
  const auto first = *co_await ticks.next();
  const auto then = steady_clock::now() + 23ms;
  work_until(then);
  const auto late = *co_await ticks.next();
  const auto taken = steady_clock::now();
  CHECK(late >= first + 5ms);
  CHECK(late <= then);  // it had been due
  const auto next = *co_await ticks.next();
  CHECK(next >= then + 5ms);
  CHECK(next <= taken + 5ms);
  CHECK(steady_clock::now() >= next);
}

LOOP_TEST("skip leaves out what was missed, and keeps the schedule") {
  interval ticks(5ms, missed_ticks::skip);
  const auto first = *co_await ticks.next();
  const auto then = steady_clock::now() + 23ms;
  work_until(then);
  const auto late = *co_await ticks.next();
  const auto taken = steady_clock::now();
  CHECK((late - first) % 5ms == 0ns);
  CHECK(late <= then);  // it had been due
  const auto next = *co_await ticks.next();
  CHECK((next - first) % 5ms == 0ns);
  CHECK(next > then);
  CHECK(next <= taken + 5ms);  // the first one of those to come
}

LOOP_TEST("delay and skip change nothing for those who are in time") {
  // A period that no hiccup of a loaded machine is as long as.
  for (const auto missed : {missed_ticks::delay, missed_ticks::skip}) {
    interval ticks = interval::starting_now(1h, missed);
    const auto first = *co_await ticks.next();
    const auto next = co_await rondo::try_for(0s, ticks.next());
    CHECK(first <= steady_clock::now());
    CHECK_FALSE(next.has_value());
  }
}

LOOP_TEST("a canceled next loses no tick") {
  int canceled = 0;
  for (auto period = 5ms; canceled == 0; period *= 2) {  // longer, if the machine was too slow
    const auto begin = steady_clock::now();
    interval ticks(period);
    const auto made = steady_clock::now();
    std::optional<time_point> tick;
    while (!tick) {
      const auto tried = co_await rondo::try_for(1ms, ticks.next());
      if (tried) {
        tick = *tried;
      } else {
        ++canceled;
      }
    }
    CHECK(*tick >= begin + period);
    CHECK(*tick <= made + period);
    CHECK(*tick <= steady_clock::now());
    const auto next = *co_await ticks.next();
    CHECK(next == *tick + period);
  }
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
