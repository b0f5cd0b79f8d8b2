// SPDX-License-Identifier: BSL-1.0

#include <mutex>
#include <optional>
#include <type_traits>

#include <rondo/rondo.hpp>

#include "support/heap.hpp"
#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

template <typename M>
concept lockable_by_the_standard = requires(M& m) {
  m.unlock();
};
static_assert(lockable_by_the_standard<std::mutex>);
static_assert(!lockable_by_the_standard<rondo::mutex>);
static_assert(!std::is_copy_constructible_v<rondo::mutex::guard>);
static_assert(std::is_nothrow_move_constructible_v<rondo::mutex::guard>);

}  // namespace

TASK_TEST("a mutex that nobody holds is locked without waiting, and unlocked by its guard") {
  rondo::mutex m;
  {
    const auto guard = co_await m.lock();
    CHECK(guard.owns_lock());
    CHECK_FALSE(is_free(m));
  }
  CHECK(is_free(m));
}

TASK_TEST("a guard can be moved, exchanged, and released early, once") {
  rondo::mutex a;
  rondo::mutex b;
  auto first = co_await a.lock();
  rondo::mutex::guard second = std::move(first);
  CHECK_FALSE(first.owns_lock());
  CHECK(second);
  CHECK_FALSE(is_free(a));
  second = co_await b.lock();  // gives a back
  CHECK(is_free(a));
  CHECK_FALSE(is_free(b));
  second.release();
  second.release();
  CHECK(is_free(b));
  rondo::mutex::guard none;
  CHECK_FALSE(none.owns_lock());
}

TEST_CASE("try_lock gives nothing while somebody holds the mutex, or is about to") {
  manual_loop loop;
  rondo::mutex m;
  auto held = m.try_lock();
  REQUIRE(held.has_value());
  CHECK_FALSE(m.try_lock().has_value());
  waiting next(loop, in_task(m.lock()));
  held.reset();
  CHECK_FALSE(next.done());  // it has the lock, and has not run yet
  CHECK_FALSE(m.try_lock().has_value());
  loop.run_until_idle();
  REQUIRE(next.done());
}

TEST_CASE("a mutex is handed over first come, first served") {
  manual_loop loop;
  rondo::mutex m;
  std::string log;
  auto held = m.try_lock();
  waiting a(loop, notes(m.lock(), 'a', log));
  waiting b(loop, notes(m.lock(), 'b', log));
  waiting c(loop, notes(m.lock(), 'c', log));
  loop.run_until_idle();
  CHECK(log.empty());
  held.reset();
  waiting late(loop, notes(m.lock(), 'd', log));
  loop.run_until_idle();
  CHECK(log == "abcd");
  CHECK(is_free(m));
}

TEST_CASE("a wait for a mutex that is canceled leaves the queue, and the next one gets it") {
  manual_loop loop;
  rondo::mutex m;
  auto held = m.try_lock();
  waiting a(loop, m.lock());
  waiting b(loop, m.lock());
  a.cancel();
  CHECK_FALSE(a.done());  // not inside the call
  held.reset();
  CHECK(b.done());
  loop.run_until_idle();
  REQUIRE(a.done());
  CHECK(a.was_canceled());
  auto guard = b.take();
  CHECK(guard.owns_lock());
}

TEST_CASE("a mutex that was granted is held by a task that is canceled before it runs") {
  manual_loop loop;
  rondo::mutex m;
  auto held = m.try_lock();
  waiting a(loop, in_task(m.lock()));
  held.reset();
  a.cancel();  // too late
  loop.run_until_idle();
  REQUIRE(a.done());
  {
    auto guard = a.take();
    CHECK(guard.owns_lock());
    CHECK_FALSE(is_free(m));
  }
  CHECK(is_free(m));
}

TEST_CASE("a mutex is not locked in a canceled task, nor by a lock that is made and dropped") {
  manual_loop loop;
  rondo::mutex m;
  static_cast<void>(m.lock());
  CHECK(is_free(m));
  waiting a(loop, m.lock(), in_canceled);
  CHECK_FALSE(a.done());
  CHECK(is_free(m));
  loop.run_until_idle();
  CHECK(a.was_canceled());
}

TEST_CASE("a lock that was granted and that nobody takes is given to the next one") {
  manual_loop loop;
  rondo::mutex m;
  auto held = m.try_lock();
  std::optional<waiting<decltype(m.lock())>> discarded(std::in_place, loop, m.lock());
  waiting next(loop, m.lock());
  held.reset();
  REQUIRE(discarded->done());
  CHECK_FALSE(next.done());
  discarded.reset();
  REQUIRE(next.done());
  next.take().release();
  CHECK(is_free(m));
}

TEST_CASE("of two mutexes in a race one is locked, and both are free afterwards") {
  manual_loop loop;
  rondo::mutex m;
  rondo::mutex n;
  auto held_m = m.try_lock();
  auto held_n = n.try_lock();
  waiting race(loop, in_task(when_any(m.lock(), n.lock())));
  held_n.reset();
  held_m.reset();
  CHECK(is_free(m));
  CHECK_FALSE(is_free(n));
  loop.run_until_idle();
  REQUIRE(race.done());
  {
    auto won = race.take();
    CHECK(won.index() == 1);
  }
  CHECK(is_free(n));
}

LOOP_TEST("tasks that lock across awaits do not overlap, and nobody waits for ever") {
  rondo::mutex m;
  int inside = 0;
  int most = 0;
  int done = 0;
  const auto work = [&]() -> task<> {
    for (int i = 0; i < 100; ++i) {
      const auto guard = co_await m.lock();
      most = std::max(most, ++inside);
      if (i % 3 == 0) co_await yield();
      --inside;
    }
    ++done;
  };
  std::vector<task<>> workers;
  for (int i = 0; i < 10; ++i) workers.push_back(work());
  co_await when_all(std::move(workers));
  CHECK(most == 1);
  CHECK(done == 10);
}

LOOP_TEST("a task that locks a free mutex a million times lets others run, on the same stack") {
  rondo::mutex m;
  bool other_has_run = false;
  auto other = spawn(
      [](bool& run) -> task<> {
        run = true;
        co_return;
      },
      std::ref(other_has_run));
  int until_other = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const auto guard = co_await m.lock();
    if (!other_has_run) ++until_other;
  }
  CHECK(until_other < 1000);
  co_await other;
}

LOOP_TEST("waiting for a mutex allocates nothing, whether it is given or canceled") {
  rondo::mutex m;
  const auto work = [&]() -> task<> {
    co_await when_all(
        [](rondo::mutex& x) -> task<> {
          const auto guard = co_await x.lock();
          co_await yield();
        }(m),
        [](rondo::mutex& x) -> task<> { const auto guard = co_await x.lock(); }(m),
        when_any(m.lock(), yield()));
  };
  co_await work();
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 100; ++i) co_await work();
  const auto during = rondo_test::allocations() - before;
  if constexpr (RONDO_FRAME_POOL != 0) CHECK(during == 0);
}
