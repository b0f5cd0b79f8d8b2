// SPDX-License-Identifier: BSL-1.0

#include <rondo/rondo.hpp>

#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

TEST_CASE("an event that is set lets everybody go on, in the order in which they came") {
  manual_loop loop;
  event e;
  std::string log;
  waiting a(loop, notes(e.wait(), 'a', log));
  waiting b(loop, notes(e.wait(), 'b', log));
  waiting c(loop, e.wait());
  loop.run_until_idle();
  CHECK(log.empty());
  CHECK_FALSE(e.is_set());
  e.set();
  CHECK(c.done());
  CHECK(log.empty());  // tasks run later
  loop.run_until_idle();
  CHECK(log == "ab");
}

TASK_TEST("nobody waits for an event that is set, until it is reset") {
  event e;
  e.set();
  e.set();
  co_await e.wait();
  CHECK(e.is_set());
  e.reset();
  CHECK_FALSE(e.is_set());
  waiting late(loop, e.wait());
  CHECK_FALSE(late.done());
  e.set();
  CHECK(late.done());
}

TEST_CASE("who was woken by an event goes on, also if it is reset before they run") {
  manual_loop loop;
  event e;
  waiting a(loop, in_task(e.wait()));
  e.set();
  e.reset();
  loop.run_until_idle();
  CHECK(a.done());
  CHECK_FALSE(a.was_canceled());
}

TEST_CASE("a wait for an event that is canceled leaves the others waiting") {
  manual_loop loop;
  event e;
  waiting a(loop, e.wait());
  waiting b(loop, e.wait());
  a.cancel();
  CHECK_FALSE(a.done());
  loop.run_until_idle();
  CHECK(a.was_canceled());
  CHECK_FALSE(b.done());
  e.set();
  CHECK(b.done());
}

TEST_CASE("an event that was set before its waiter was canceled counts") {
  manual_loop loop;
  event e;
  waiting a(loop, in_task(e.wait()));
  e.set();
  a.cancel();
  loop.run_until_idle();
  CHECK_FALSE(a.was_canceled());
}

TEST_CASE("a canceled task does not see an event that is set") {
  manual_loop loop;
  event e;
  e.set();
  static_cast<void>(e.wait());
  waiting a(loop, e.wait(), in_canceled);
  CHECK_FALSE(a.done());
  loop.run_until_idle();
  CHECK(a.was_canceled());
}

TEST_CASE("two waits for one event in a race end together, once") {
  manual_loop loop;
  event e;
  waiting race(loop, in_task(when_any(e.wait(), e.wait())));
  e.set();
  loop.run_until_idle();
  REQUIRE(race.done());
  CHECK(race.take().index() == 0);
}

LOOP_TEST("an event that is set between turns wakes a loop that somebody else drives") {
  event e;
  auto waits = spawn([](event& x) -> task<> { co_await x.wait(); }, std::ref(e));
  co_await yields(2);
  event_loop::current().post([&e] { e.set(); });
  co_await waits;
}
