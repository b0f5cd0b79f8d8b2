// SPDX-License-Identifier: BSL-1.0

#include <stdexcept>

#include <rondo/rondo.hpp>

#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

TEST_CASE("a latch opens when it was counted down to zero, for everybody and for good") {
  manual_loop loop;
  rondo::latch l(3);
  std::string log;
  waiting a(loop, notes(l.wait(), 'a', log));
  waiting b(loop, notes(l.wait(), 'b', log));
  l.count_down();
  CHECK_FALSE(l.is_open());
  l.count_down(2);
  CHECK(l.is_open());
  loop.run_until_idle();
  CHECK(log == "ab");
  waiting late(loop, l.wait());
  CHECK(late.done());
}

TEST_CASE("a latch of zero is open, and arriving at an open latch is a mistake that is named") {
  manual_loop loop;
  rondo::latch l(0);
  waiting a(loop, l.wait());
  CHECK(a.done());
  CHECK_THROWS_AS(l.count_down(), std::logic_error);
  waiting b(loop, l.arrive_and_wait());
  CHECK_THROWS_AS(b.take(), std::logic_error);
  waiting c(loop, in_task(as_result(l.arrive_and_wait())));
  CHECK_FALSE(c.take().has_value());
}

TEST_CASE("counting down by more than is left counts nothing") {
  manual_loop loop;
  rondo::latch l(2);
  CHECK_THROWS_AS(l.count_down(3), std::logic_error);
  l.count_down(2);
  CHECK(l.is_open());
}

TEST_CASE("who arrives and waits goes on with the last one") {
  manual_loop loop;
  rondo::latch l(2);
  waiting a(loop, in_task(l.arrive_and_wait()));
  CHECK_FALSE(a.done());
  waiting b(loop, l.arrive_and_wait());
  CHECK(b.done());
  loop.run_until_idle();
  CHECK(a.done());
}

TEST_CASE("an arrival that is canceled is taken back, a wait that is canceled changes nothing") {
  manual_loop loop;
  rondo::latch l(2);
  waiting waits(loop, l.wait());
  waiting arrives(loop, l.arrive_and_wait());
  waits.cancel();
  arrives.cancel();
  loop.run_until_idle();
  CHECK(waits.was_canceled());
  CHECK(arrives.was_canceled());
  l.count_down();
  CHECK_FALSE(l.is_open());
  l.count_down();
  CHECK(l.is_open());
}

TEST_CASE("an arrival at a latch that has opened cannot be canceled any more") {
  manual_loop loop;
  rondo::latch l(2);
  waiting a(loop, in_task(l.arrive_and_wait()));
  l.count_down();
  a.cancel();
  loop.run_until_idle();
  CHECK_FALSE(a.was_canceled());
  CHECK(l.is_open());
}

TEST_CASE("who loses a race because the latch opens does not close it again") {
  manual_loop loop;
  rondo::latch l(3);
  waiting race(loop, in_task(when_any(l.arrive_and_wait(), l.arrive_and_wait())));
  l.count_down();
  CHECK(l.is_open());
  loop.run_until_idle();
  CHECK(race.take().index() == 0);
  CHECK(l.is_open());
}

TEST_CASE(
    "in a canceled task nobody arrives at a latch, nor by an arrival that is made and dropped") {
  manual_loop loop;
  rondo::latch l(1);
  static_cast<void>(l.arrive_and_wait());
  waiting a(loop, l.arrive_and_wait(), in_canceled);
  waiting b(loop, l.wait(), in_canceled);
  loop.run_until_idle();
  CHECK(a.was_canceled());
  CHECK(b.was_canceled());
  CHECK_FALSE(l.is_open());
}
