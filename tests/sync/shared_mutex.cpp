// SPDX-License-Identifier: BSL-1.0

#include <rondo/rondo.hpp>

#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

TASK_TEST("readers share, a writer does not") {
  rondo::shared_mutex m;
  {
    const auto a = co_await m.lock_shared();
    const auto b = co_await m.lock_shared();
    CHECK(a.owns_lock());
    CHECK(b.owns_lock());
    CHECK_FALSE(m.try_lock().has_value());
    CHECK(m.try_lock_shared().has_value());
  }
  const auto writing = co_await m.lock();
  CHECK(writing.owns_lock());
  CHECK_FALSE(m.try_lock().has_value());
  CHECK_FALSE(m.try_lock_shared().has_value());
}

TEST_CASE("readers who come after a writer wait for it, and then all go on together") {
  manual_loop loop;
  rondo::shared_mutex m;
  std::string log;
  auto reading = m.try_lock_shared();
  waiting writer(loop, m.lock());
  waiting r1(loop, m.lock_shared());
  waiting r2(loop, m.lock_shared());
  waiting second_writer(loop, m.lock());
  waiting r3(loop, m.lock_shared());
  CHECK_FALSE(m.try_lock_shared().has_value());
  reading.reset();
  CHECK(writer.done());
  CHECK_FALSE(r1.done());
  writer.take().release();
  REQUIRE(r1.done());
  REQUIRE(r2.done());
  CHECK_FALSE(second_writer.done());
  CHECK_FALSE(r3.done());
  r1.take().release();
  CHECK_FALSE(second_writer.done());
  r2.take().release();
  REQUIRE(second_writer.done());
  CHECK_FALSE(r3.done());
  second_writer.take().release();
  REQUIRE(r3.done());
}

TEST_CASE("when a writer that waits is canceled, readers behind it go on at once") {
  manual_loop loop;
  rondo::shared_mutex m;
  auto reading = m.try_lock_shared();
  waiting writer(loop, m.lock());
  waiting reader(loop, m.lock_shared());
  writer.cancel();
  CHECK(reader.done());
  loop.run_until_idle();
  CHECK(writer.was_canceled());
}

TEST_CASE("a lock that was granted is held by a task that is canceled before it runs") {
  manual_loop loop;
  rondo::shared_mutex m;
  auto reading = m.try_lock_shared();
  waiting writer(loop, in_task(m.lock()));
  reading.reset();
  writer.cancel();
  loop.run_until_idle();
  {
    const auto guard = writer.take();
    CHECK(guard.owns_lock());
    CHECK_FALSE(m.try_lock_shared().has_value());
  }
  CHECK(m.try_lock().has_value());
}

TEST_CASE("a lock that was granted and that nobody takes is free again") {
  manual_loop loop;
  rondo::shared_mutex m;
  rondo::mutex never;
  auto held = never.try_lock();
  waiting both(loop, in_task(when_all(m.lock(), never.lock())));
  CHECK_FALSE(m.try_lock_shared().has_value());
  both.cancel();
  loop.run_until_idle();
  CHECK(both.was_canceled());
  CHECK(m.try_lock().has_value());
}

TEST_CASE("nothing is locked in a canceled task, nor by what is made and dropped") {
  manual_loop loop;
  rondo::shared_mutex m;
  static_cast<void>(m.lock());
  static_cast<void>(m.lock_shared());
  waiting writer(loop, m.lock(), in_canceled);
  waiting reader(loop, m.lock_shared(), in_canceled);
  CHECK(m.try_lock().has_value());
  loop.run_until_idle();
  CHECK(writer.was_canceled());
  CHECK(reader.was_canceled());
}
