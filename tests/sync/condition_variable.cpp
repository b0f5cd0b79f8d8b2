// SPDX-License-Identifier: BSL-1.0

#include <stdexcept>
#include <vector>

#include <rondo/rondo.hpp>
#include <rondo/testing.hpp>

#include "support/heap.hpp"
#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

namespace {

/// Locks, waits once, and notes what it has seen.
task<> waiter(rondo::mutex& m, condition_variable& c, char letter, std::string& log) {
  auto guard = co_await m.lock();
  try {
    co_await c.wait(guard);
    log += letter;
  } catch (const operation_canceled&) {
    log += static_cast<char>(letter - 'a' + 'A');
  }
  CHECK(guard.owns_lock());
  CHECK_FALSE(is_free(m));
}

}  // namespace

TEST_CASE("a wait for a condition unlocks, and has the lock again when it ends") {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  std::string log;
  waiting a(loop, waiter(m, c, 'a', log));
  CHECK(is_free(m));
  c.notify_one();
  CHECK_FALSE(is_free(m));  // it is handed to the one who was notified
  loop.run_until_idle();
  CHECK(log == "a");
  CHECK(is_free(m));
}

TEST_CASE("notify_one wakes who came first, notify_all all, and one after the other has the lock") {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  std::string log;
  c.notify_one();  // nobody waits: it is not remembered
  c.notify_all();
  waiting a(loop, waiter(m, c, 'a', log));
  waiting b(loop, waiter(m, c, 'b', log));
  waiting d(loop, waiter(m, c, 'd', log));
  loop.run_until_idle();
  CHECK(log.empty());
  c.notify_one();
  loop.run_until_idle();
  CHECK(log == "a");
  c.notify_all();
  loop.run_until_idle();
  CHECK(log == "abd");
  CHECK(is_free(m));
}

TEST_CASE("who is notified while somebody holds the lock waits for it") {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  std::string log;
  waiting a(loop, waiter(m, c, 'a', log));
  auto held = m.try_lock();
  REQUIRE(held.has_value());
  c.notify_one();
  loop.run_until_idle();
  CHECK_FALSE(a.done());
  held.reset();
  loop.run_until_idle();
  CHECK(a.done());
  CHECK(log == "a");
}

TEST_CASE("a wait that is canceled has the lock again before it throws") {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  std::string log;
  waiting a(loop, waiter(m, c, 'a', log));
  SECTION("when the lock is free") {
    a.cancel();
    CHECK(log.empty());  // not inside the call
    CHECK_FALSE(is_free(m));
    loop.run_until_idle();
  }
  SECTION("when somebody holds it: however long that takes") {
    auto held = m.try_lock();
    a.cancel();
    loop.run_until_idle();
    CHECK_FALSE(a.done());
    held.reset();
    loop.run_until_idle();
  }
  CHECK(a.done());
  CHECK(log == "A");
  CHECK(is_free(m));
}

TEST_CASE("a wait that is canceled takes nobody's notification") {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  std::string log;
  waiting a(loop, waiter(m, c, 'a', log));
  waiting b(loop, waiter(m, c, 'b', log));
  a.cancel();
  c.notify_one();
  loop.run_until_idle();
  CHECK(log == "Ab");
}

TEST_CASE("who was notified is not canceled any more, so the notification counts") {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  std::string log;
  waiting a(loop, waiter(m, c, 'a', log));
  SECTION("while it waits for the lock") {
    auto held = m.try_lock();
    c.notify_one();
    a.cancel();
    loop.run_until_idle();
    CHECK_FALSE(a.done());
    held.reset();
  }
  SECTION("when it has the lock") {
    c.notify_one();
    a.cancel();
  }
  loop.run_until_idle();
  CHECK(log == "a");
}

TEST_CASE("in a canceled task the lock is kept, and nobody waits") {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  auto guard = *m.try_lock();
  static_cast<void>(c.wait(guard));
  CHECK_FALSE(is_free(m));
  waiting a(loop, c.wait(guard), in_canceled);
  CHECK_FALSE(is_free(m));
  loop.run_until_idle();
  CHECK(a.was_canceled());
  CHECK(guard.owns_lock());
  bool asked = false;
  const auto pred = [&asked] { return asked = true; };
  waiting b(loop, c.wait(guard, pred), in_canceled);
  loop.run_until_idle();
  CHECK(b.was_canceled());
  CHECK_FALSE(asked);
}

TASK_TEST("a wait without the lock is a mistake that is named") {
  condition_variable c;
  rondo::mutex::guard nothing;
  CHECK_THROWS_AS(c.wait(nothing), std::logic_error);
  co_return;
}

TASK_TEST(
    "a condition that is true already is not waited for, one that throws leaves the lock held") {
  rondo::mutex m;
  condition_variable c;
  auto guard = co_await m.lock();
  co_await c.wait(guard, [] { return true; });
  CHECK(guard.owns_lock());
  bool thrown = false;
  try {
    co_await c.wait(guard, []() -> bool { throw oops(1); });
  } catch (const oops&) {
    thrown = true;
  }
  CHECK(thrown);
  CHECK(guard.owns_lock());
  CHECK_FALSE(is_free(m));
}

TEST_CASE("a race that a condition loses has the lock again") {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  event e;
  auto guard = *m.try_lock();
  waiting race(loop, in_task(when_any(c.wait(guard), e.wait())));
  CHECK(is_free(m));
  e.set();
  loop.run_until_idle();
  REQUIRE(race.done());
  CHECK(race.take().index() == 1);
  CHECK(guard.owns_lock());
  CHECK_FALSE(is_free(m));
}

namespace {

struct box {
  rondo::mutex m;
  condition_variable changed;
  std::vector<int> items;
  int received = 0;
  long sum = 0;
};

task<> put(box& b, int from, int to) {
  for (int i = from; i < to; ++i) {
    auto guard = co_await b.m.lock();
    b.items.push_back(i);
    if (i % 2 == 0) guard.release();
    b.changed.notify_one();
  }
}
task<> get(box& b, int total) {
  for (;;) {
    auto guard = co_await b.m.lock();
    co_await b.changed.wait(guard, [&b, total] { return !b.items.empty() || b.received == total; });
    if (b.items.empty()) co_return;
    b.sum += b.items.front();
    b.items.erase(b.items.begin());
    if (++b.received == total) b.changed.notify_all();
  }
}

}  // namespace

TEST_CASE("producers and consumers over one condition lose nothing, whatever the order") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO(seed);
    box b;
    rondo::run(
        [](box& all) -> task<> {
          co_await when_all(put(all, 0, 100), put(all, 100, 200), get(all, 200), get(all, 200),
                            get(all, 200));
        }(b),
        testing::faults(seed).options());
    CHECK(b.received == 200);
    CHECK(b.sum == 199 * 200 / 2);
  }
}

LOOP_TEST("waiting for a condition allocates nothing") {
  box b;
  const auto round = [](box& x) -> task<> {
    co_await when_all(get(x, x.received + 3), put(x, 0, 3));
  };
  co_await round(b);
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 50; ++i) co_await round(b);
  const auto during = rondo_test::allocations() - before;
  if constexpr (RONDO_FRAME_POOL != 0) CHECK(during == 0);
}

namespace {

/// Waits to be notified or until it is over, and notes which came first.
task<> racer(rondo::mutex& m, condition_variable& c, event& over, std::string& log) {
  auto guard = co_await m.lock();
  const auto first = co_await when_any(c.wait(guard), over.wait());
  log += std::to_string(first.index());
  CHECK(guard.owns_lock());
}

/// What a racer needs, and one that waits.
struct race {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  event over;
  std::string log;
  waiting<task<>> a{loop, racer(m, c, over, log)};
};

}  // namespace

TEST_CASE("a notification for a wait that has lost a race goes to the next") {
  race r;
  auto& [loop, m, c, over, log, a] = r;
  waiting b(loop, waiter(m, c, 'b', log));
  loop.run_until_idle();
  auto held = m.try_lock();
  REQUIRE(held.has_value());
  c.notify_one();  // the first has it, and waits for the lock
  over.set();      // and loses against this
  held->release();
  loop.run_until_idle();
  CHECK(log == "1b");
  CHECK(is_free(m));
}

TEST_CASE("a guard that waits holds no lock that could be given up once more") {
  manual_loop loop;
  rondo::mutex m;
  condition_variable c;
  bool said = false;
  const auto twice = [&]() -> task<> {
    auto guard = co_await m.lock();
    try {
      co_await when_all(c.wait(guard), c.wait(guard));
    } catch (const std::logic_error&) {
      said = true;
    }
    CHECK(guard.owns_lock());
    CHECK_FALSE(is_free(m));
  };
  waiting a(loop, twice());
  loop.run_until_idle();
  CHECK(a.done());
  CHECK(said);
  CHECK(is_free(m));
}

TEST_CASE("a notification for everybody is nobody's to pass on") {
  race r;
  auto& [loop, m, c, over, log, a] = r;
  auto held = m.try_lock();
  REQUIRE(held.has_value());
  waiting late(loop, waiter(m, c, 'l', log));
  c.notify_all();
  over.set();
  held->release();
  loop.run_until_idle();
  CHECK(log == "1");  // the late one began to wait after that
  c.notify_one();
  loop.run_until_idle();
  CHECK(log == "1l");
}
