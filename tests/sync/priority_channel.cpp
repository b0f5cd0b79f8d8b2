// SPDX-License-Identifier: BSL-1.0

#include <functional>
#include <memory>
#include <queue>
#include <random>
#include <utility>

#include <rondo/rondo.hpp>

#include "support/heap.hpp"
#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

TASK_TEST("the greatest value comes first, as from a std::priority_queue") {
  std::minstd_rand random(1);
  priority_channel<unsigned> c(100);
  std::priority_queue<unsigned> model;
  for (int i = 0; i < 100; ++i) {
    const unsigned n = static_cast<unsigned>(random()) % 50;
    co_await c.send(n);
    model.push(n);
  }
  c.close();
  for (;;) {
    const auto value = co_await c.receive();
    if (!value) break;
    CHECK(*value == model.top());
    model.pop();
  }
  CHECK(model.empty());
}

TASK_TEST("another order is a Compare, which may have a state") {
  priority_channel<int, std::greater<>> least(3);
  for (const int n : {2, 3, 1}) least.try_send(n);
  CHECK(least.try_receive() == 1);

  const auto nearer = [to = 10](int a, int b) { return std::abs(a - to) > std::abs(b - to); };
  priority_channel<int, decltype(nearer)> near(3, nearer);
  for (const int n : {1, 9, 14}) near.try_send(n);
  CHECK(near.try_receive() == 9);
  CHECK(near.try_receive() == 14);
  co_return;
}

TASK_TEST("values that compare equal come in the order in which they were sent") {
  using item = std::pair<int, int>;
  struct by_first {
    bool operator()(const item& a, const item& b) const { return a.first < b.first; }
  };
  priority_channel<item, by_first> c(64);
  for (int i = 0; i < 60; ++i) c.try_send(item(i % 3, i));
  item last(3, 0);
  for (int i = 0; i < 60; ++i) {
    const auto next = co_await c.receive();
    const bool in_order =
        next->first < last.first || (next->first == last.first && next->second > last.second);
    CHECK(in_order);
    last = *next;
  }
}

TASK_TEST("what can only be moved is ordered, too") {
  struct by_content {
    bool operator()(const std::unique_ptr<int>& a, const std::unique_ptr<int>& b) const {
      return *a < *b;
    }
  };
  priority_channel<std::unique_ptr<int>, by_content> c(3);
  for (const int n : {1, 3, 2}) co_await c.send(std::make_unique<int>(n));
  for (const int n : {3, 2, 1}) {
    const auto value = co_await c.receive();
    CHECK(**value == n);
  }
}

TEST_CASE("who waits to send comes in first come, first served, and is ordered then") {
  manual_loop loop;
  priority_channel<int> c(1);
  CHECK(c.try_send(1));
  waiting two(loop, c.send(2));
  waiting three(loop, c.send(3));
  CHECK(c.try_receive() == 1);
  CHECK(two.done());
  CHECK_FALSE(three.done());
  CHECK(c.try_receive() == 2);
  CHECK(c.try_receive() == 3);
}

TEST_CASE("a value that nobody takes goes back before those that compare equal") {
  using item = std::pair<int, char>;
  struct by_first {
    bool operator()(const item& a, const item& b) const { return a.first < b.first; }
  };
  manual_loop loop;
  event never;
  priority_channel<item, by_first> c(3);
  c.try_send(item(1, 'a'));
  c.try_send(item(1, 'b'));
  waiting both(loop, in_task(when_all(c.receive(), never.wait())));
  c.try_send(item(2, 'c'));
  both.cancel();
  loop.run_until_idle();
  CHECK(c.try_receive() == item(2, 'c'));
  CHECK(c.try_receive() == item(1, 'a'));
  CHECK(c.try_receive() == item(1, 'b'));
}

TEST_CASE("close ends senders and receivers as in every channel") {
  manual_loop loop;
  priority_channel<int> c(1);
  CHECK(c.try_send(1));
  waiting sends(loop, c.send(2));
  c.close();
  CHECK_THROWS_AS(sends.take(), channel_closed);
  waiting receives(loop, c.receive());
  CHECK(receives.take() == 1);
  waiting end(loop, c.receive());
  CHECK_FALSE(end.take().has_value());
}

LOOP_TEST("a message in a priority_channel allocates nothing") {
  priority_channel<int> c(16);
  const auto work = [&]() -> task<> {
    co_await when_all(
        [](priority_channel<int>& to) -> task<> {
          for (int i = 0; i < 200; ++i) co_await to.send(i * 7 % 31);
        }(c),
        [](priority_channel<int>& from) -> task<> {
          for (int i = 0; i < 200; ++i) static_cast<void>(co_await from.receive());
        }(c));
  };
  co_await work();
  const auto before = rondo_test::allocations();
  co_await work();
  const auto during = rondo_test::allocations() - before;
  if constexpr (RONDO_FRAME_POOL != 0) CHECK(during == 0);
}

TEST_CASE("an unbounded one that there is no memory for leaves the value with whoever has it") {
  if (!rondo_test::heap_is_counted()) return;
  priority_channel<std::unique_ptr<int>> c(unbounded);
  auto value = std::make_unique<int>(1);
  rondo::testing::fail_allocation(1);
  CHECK_THROWS_AS(c.try_send(std::move(value)), std::bad_alloc);
  rondo::testing::fail_allocation(0);
  REQUIRE(value != nullptr);
  CHECK(c.empty());
  CHECK(c.try_send(std::move(value)));
  CHECK(c.size() == 1);
}
