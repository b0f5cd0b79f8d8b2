// SPDX-License-Identifier: BSL-1.0

#include <optional>
#include <random>

#include <rondo/rondo.hpp>
#include <rondo/testing.hpp>

#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

TASK_TEST("a permit is taken without waiting while there are enough, and given back when it goes") {
  semaphore s(3);
  {
    const auto two = co_await s.acquire(2);
    CHECK(two.count() == 2);
    CHECK(s.available() == 1);
    const auto one = co_await s.acquire();
    CHECK(s.available() == 0);
    CHECK_FALSE(s.try_acquire().has_value());
  }
  CHECK(s.available() == 3);
  CHECK(s.try_acquire(3).has_value());
  CHECK_FALSE(s.try_acquire(4).has_value());
}

TASK_TEST("a permit can be moved, released early, once, and kept for good") {
  semaphore s(5);
  auto a = co_await s.acquire(2);
  semaphore::permit b = std::move(a);
  CHECK_FALSE(a);
  CHECK(a.count() == 0);
  CHECK(b.count() == 2);
  b = co_await s.acquire(1);  // gives the two back
  CHECK(s.available() == 4);
  b.release();
  b.release();
  CHECK(s.available() == 5);
  b = co_await s.acquire(2);
  b.forget();
  CHECK(b.count() == 0);
  b.release();
  CHECK(s.available() == 3);
}

TEST_CASE("permits go to who is first: a large request is not overtaken by small ones") {
  manual_loop loop;
  semaphore s(2);
  auto one = s.try_acquire();
  waiting large(loop, s.acquire(2));
  waiting small(loop, s.acquire(1));
  CHECK_FALSE(small.done());
  CHECK_FALSE(s.try_acquire().has_value());
  one.reset();
  CHECK(large.done());
  CHECK_FALSE(small.done());
  large.take().release();
  CHECK(small.done());
  CHECK(small.take().count() == 1);
}

TEST_CASE("when a large request is canceled, small ones behind it go on at once") {
  manual_loop loop;
  semaphore s(2);
  auto one = s.try_acquire();
  waiting large(loop, s.acquire(2));
  waiting small(loop, s.acquire(1));
  large.cancel();
  CHECK(small.done());
  CHECK_FALSE(large.done());
  loop.run_until_idle();
  CHECK(large.was_canceled());
  small.take().release();
  one.reset();
  CHECK(s.available() == 2);
}

TEST_CASE("release adds permits, and gives them to as many as they are enough for") {
  manual_loop loop;
  semaphore s(0);
  waiting a(loop, s.acquire(2));
  waiting b(loop, in_task(s.acquire(2)));
  waiting c(loop, s.acquire(2));
  s.release(5);
  loop.run_until_idle();
  CHECK(a.done());
  CHECK(b.done());
  CHECK_FALSE(c.done());
  s.release();
  CHECK(c.done());
  CHECK(s.available() == 0);
}

TEST_CASE("a permit that was granted and that nobody takes goes on to the next one") {
  manual_loop loop;
  semaphore s(0);
  std::optional<waiting<decltype(s.acquire())>> discarded(std::in_place, loop, s.acquire());
  waiting next(loop, s.acquire());
  s.release();
  REQUIRE(discarded->done());
  discarded.reset();
  REQUIRE(next.done());
  next.take().release();
  CHECK(s.available() == 1);
}

TEST_CASE("a permit that was granted is held by a task that is canceled before it runs") {
  manual_loop loop;
  semaphore s(0);
  waiting a(loop, in_task(s.acquire()));
  s.release();
  a.cancel();
  loop.run_until_idle();
  CHECK(a.take().count() == 1);
  CHECK(s.available() == 1);
}

TEST_CASE("nothing is acquired in a canceled task, nor by an acquire that is made and dropped") {
  manual_loop loop;
  semaphore s(1);
  static_cast<void>(s.acquire());
  waiting a(loop, s.acquire(), in_canceled);
  CHECK(s.available() == 1);
  loop.run_until_idle();
  CHECK(a.was_canceled());
  CHECK(s.available() == 1);
}

TEST_CASE("a race for permits of one semaphore takes one of them, whoever is given it") {
  manual_loop loop;
  semaphore s(0);
  waiting race(loop, in_task(when_any(s.acquire(2), s.acquire(1))));
  s.release(3);
  loop.run_until_idle();
  REQUIRE(race.done());
  {
    auto won = race.take();
    CHECK(won.index() == 0);
    CHECK(s.available() == 1);
  }
  CHECK(s.available() == 3);
}

TEST_CASE("permits that a group acquires go back when the group is given up") {
  manual_loop loop;
  semaphore s(1);
  semaphore never(0);
  waiting both(loop, in_task(when_all(s.acquire(), never.acquire())));
  CHECK(s.available() == 0);
  both.cancel();
  loop.run_until_idle();
  CHECK(both.was_canceled());
  CHECK(s.available() == 1);
}

namespace {

struct crowd {
  semaphore s{5};
  std::size_t in_use = 0;
  std::size_t most = 0;
  int served = 0;
  int canceled = 0;
};

task<> visitor(crowd& c, unsigned seed) {
  std::minstd_rand random(seed);
  for (int i = 0; i < 20; ++i) {
    const std::size_t n = 1 + random() % 5;
    const bool impatient = random() % 3 == 0;
    semaphore::permit held;
    if (impatient) {
      auto won = co_await when_any(c.s.acquire(n), yields(static_cast<int>(random() % 4)));
      if (won.index() == 1) {
        ++c.canceled;
        continue;
      }
      held = std::get<0>(std::move(won));
    } else {
      held = co_await c.s.acquire(n);
    }
    c.in_use += held.count();
    c.most = std::max(c.most, c.in_use);
    co_await yields(static_cast<int>(random() % 3));
    c.in_use -= held.count();
    ++c.served;
  }
}

}  // namespace

TEST_CASE("whatever the order, no more permits are out than there are, and all come back") {
  int served = 0;
  int canceled = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    INFO(seed);
    testing::faults faults(seed);
    crowd c;
    rondo::run(
        [](crowd& all) -> task<> {
          std::vector<task<>> visitors;
          for (unsigned i = 0; i < 8; ++i) visitors.push_back(visitor(all, i + 1));
          co_await when_all(std::move(visitors));
        }(c),
        faults.options());
    CHECK(c.most <= 5);
    CHECK(c.in_use == 0);
    CHECK(c.s.available() == 5);
    CHECK(c.served + c.canceled == 8 * 20);
    served += c.served;
    canceled += c.canceled;
  }
  CHECK(served > 0);
  CHECK(canceled > 0);
}
