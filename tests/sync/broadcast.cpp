// SPDX-License-Identifier: BSL-1.0

#include <optional>
#include <string>
#include <vector>

#include <rondo/rondo.hpp>

#include "support/heap.hpp"
#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

TEST_CASE("a subscription that is closed ends its own next, and nobody else's") {
  manual_loop loop;
  broadcast<int> b(1);
  auto stays = b.subscribe();
  auto leaves = b.subscribe();
  waiting first(loop, stays.next());
  waiting second(loop, leaves.next());
  static_cast<void>(leaves.close());
  loop.run_until_idle();
  CHECK(!first.done());
  REQUIRE(second.done());
  CHECK(!second.take());
  b.send(1);
  loop.run_until_idle();
  CHECK(first.take() == 1);
}

TASK_TEST("every subscriber gets every value, from its subscription on") {
  broadcast<std::string> b(8);
  b.send("nobody hears this");
  auto first = b.subscribe();
  b.send("one");
  auto second = b.subscribe();
  b.send("two");
  b.close();
  std::vector<std::string> heard;
  while (auto v = co_await first.next()) heard.push_back(*v);
  while (auto v = co_await second.next()) heard.push_back(*v);
  CHECK(heard == std::vector<std::string>{"one", "two", "two"});
}

TEST_CASE("subscribers who wait are all woken, in the order in which they came") {
  manual_loop loop;
  broadcast<int> b(2);
  auto x = b.subscribe();
  auto y = b.subscribe();
  std::string log;
  waiting first(loop, notes(y.next(), 'y', log));
  waiting second(loop, notes(x.next(), 'x', log));
  b.send(1);
  loop.run_until_idle();
  CHECK(log == "yx");
}

TASK_TEST("a subscriber that falls behind is told once how many it has missed, and goes on") {
  broadcast<int> b(3);
  CHECK(b.capacity() == 3);
  auto s = b.subscribe();
  for (int i = 0; i < 5; ++i) b.send(i);
  std::uint64_t missed = 0;
  std::string words;
  try {
    static_cast<void>(co_await s.next());
  } catch (const lagged& e) {
    missed = e.missed();
    words = e.what();
  }
  CHECK(missed == 2);
  CHECK(words == "rondo: a subscriber has missed 2 values");
  for (const int expected : {2, 3, 4}) {
    const auto v = co_await s.next();
    CHECK(v == expected);
  }
}

TEST_CASE("one that was woken and then overtaken before it ran has missed the value") {
  manual_loop loop;
  broadcast<int> b(1);
  auto s = b.subscribe();
  waiting next(loop, in_task(s.next()));
  b.send(1);
  b.send(2);
  loop.run_until_idle();
  CHECK_THROWS_AS(next.take(), lagged);
  waiting again(loop, in_task(s.next()));
  CHECK(again.take() == 2);
}

TEST_CASE("being lagged is an error for those who give results") {
  manual_loop loop;
  broadcast<int> b(1);
  auto s = b.subscribe();
  b.send(1);
  b.send(2);
  waiting next(loop, in_task(as_result(s.next())));
  const auto r = next.take();
  CHECK(r.error() == errc::exception);
  CHECK_THROWS_AS(r.value(), lagged);
}

TEST_CASE("a next that is canceled loses nothing, whether it had been woken or not") {
  manual_loop loop;
  broadcast<int> b(2);
  auto s = b.subscribe();
  waiting a(loop, s.next());
  a.cancel();
  loop.run_until_idle();
  CHECK(a.was_canceled());
  waiting woken(loop, in_task(s.next()));
  b.send(1);
  woken.cancel();
  loop.run_until_idle();
  CHECK(woken.take() == 1);
  event never;
  b.send(2);
  waiting both(loop, in_task(when_all(s.next(), never.wait())));
  both.cancel();
  loop.run_until_idle();
  CHECK(both.was_canceled());
  waiting refused(loop, s.next(), in_canceled);
  loop.run_until_idle();
  CHECK(refused.was_canceled());
  waiting last(loop, s.next());
  CHECK(last.take() == 2);
}

TEST_CASE("close ends who waits, and nothing is sent afterwards") {
  manual_loop loop;
  broadcast<int> b(2);
  auto s = b.subscribe();
  waiting a(loop, s.next());
  b.close();
  CHECK(b.closed());
  REQUIRE(a.done());
  CHECK_FALSE(a.take().has_value());
  CHECK_THROWS_AS(b.send(1), channel_closed);
}

TEST_CASE("a subscription may be dropped and moved between two values, and a race takes one value") {
  manual_loop loop;
  broadcast<int> b(4);
  auto s = b.subscribe();
  b.send(1);
  auto t = std::move(s);
  static_cast<void>(b.subscribe());
  waiting a(loop, t.next());
  CHECK(a.take() == 1);
  broadcast<int> other(4);
  auto u = other.subscribe();
  b.send(2);
  other.send(3);
  waiting race(loop, in_task(when_any(t.next(), u.next())));
  CHECK(std::get<0>(race.take()) == 2);
  waiting rest(loop, u.next());
  CHECK(rest.take() == 3);
}

TEST_CASE("a broadcast that remembers nothing is refused") {
  CHECK_THROWS_AS(broadcast<int>(0), std::invalid_argument);
}

TEST_CASE("values are kept as long as they may be asked for") {
  counts n;
  {
    broadcast<tracked> b(2);
    for (int i = 0; i < 5; ++i) b.send(tracked(n, i));
    CHECK(n.alive == 2);
    CHECK(n.copies == 0);
  }
  CHECK(n.alive == 0);
}

LOOP_TEST("a value for many subscribers allocates nothing") {
  broadcast<int> b(16);
  const auto work = [&]() -> task<> {
    auto x = b.subscribe();
    auto y = b.subscribe();
    const auto hear = [](broadcast<int>::subscription& s) -> task<> {
      for (int i = 0; i < 100; ++i) static_cast<void>(co_await s.next());
    };
    co_await when_all(hear(x), hear(y), [](broadcast<int>& to) -> task<> {
      for (int i = 0; i < 100; ++i) {
        to.send(i);
        if (i % 8 == 0) co_await yield();
      }
    }(b));
  };
  co_await work();
  const auto before = rondo_test::allocations();
  co_await work();
  const auto during = rondo_test::allocations() - before;
  if constexpr (RONDO_FRAME_POOL != 0) CHECK(during == 0);
}

TASK_TEST("a subscriber that is closed gets nothing any more, and the others do") {
  broadcast<int> b(1);
  auto leaves = b.subscribe();
  auto stays = b.subscribe();
  b.send(1);
  b.send(2);
  co_await leaves.close();
  const auto none = co_await leaves.next();  // nor is it told what it has missed
  CHECK(!none);
  const auto code = co_await rondo::as_result(stays.next());
  CHECK(!code);
  const auto second = co_await stays.next();
  CHECK(second == 2);
}
