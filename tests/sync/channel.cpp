// SPDX-License-Identifier: BSL-1.0

#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include <rondo/rondo.hpp>

#include "support/heap.hpp"
#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

namespace {

/// Neither copied nor made from nothing.
struct parcel {
  explicit parcel(int n) : number(n) {}
  parcel(parcel&&) noexcept = default;
  parcel& operator=(parcel&&) noexcept = default;
  int number;
  std::unique_ptr<int> content = std::make_unique<int>(number);
};
static_assert(!std::is_default_constructible_v<parcel> && !std::is_copy_constructible_v<parcel>);

/// What is in a channel that is closed.
template <typename T>
std::vector<T> drain(channel<T>& c) {
  std::vector<T> all;
  while (auto value = c.try_receive()) all.push_back(std::move(*value));
  return all;
}

task<> send_numbers(channel<int>& c, int from, int to) {
  for (int i = from; i < to; ++i) co_await c.send(i);
}

}  // namespace

TASK_TEST("values come out in the order in which they went in, and the end after them") {
  channel<int> c(3);
  CHECK(c.capacity() == 3);
  CHECK(c.empty());
  co_await send_numbers(c, 0, 3);
  CHECK(c.size() == 3);
  CHECK_FALSE(c.closed());
  c.close();
  c.close();
  CHECK(c.closed());
  for (int i = 0; i < 3; ++i) {
    const auto value = co_await c.receive();
    REQUIRE(value.has_value());
    CHECK(*value == i);
  }
  const auto end = co_await c.receive();
  CHECK_FALSE(end.has_value());
  const auto again = co_await c.next();
  CHECK_FALSE(again.has_value());
}

TASK_TEST("what can only be moved goes through a channel") {
  channel<parcel> c(2);
  co_await c.send(parcel(1));
  parcel mine(2);
  co_await c.send(std::move(mine));
  CHECK(c.try_send(parcel(3)) == false);
  auto first = co_await c.receive();
  CHECK(*first->content == 1);
  CHECK(c.try_send(parcel(3)));
  auto second = co_await c.receive();
  CHECK(*second->content == 2);
  auto third = c.try_receive();
  REQUIRE(third.has_value());
  CHECK(*third->content == 3);
}

TEST_CASE("a send waits while the channel is full, and goes on when there is room") {
  manual_loop loop;
  channel<int> c(1);
  waiting a(loop, c.send(1));
  waiting b(loop, c.send(2));
  waiting d(loop, in_task(c.send(3)));
  CHECK(a.done());
  CHECK_FALSE(b.done());
  CHECK(c.try_receive() == 1);
  CHECK(b.done());
  CHECK(c.size() == 1);  // the room went to who was first
  CHECK(c.try_send(4) == false);
  CHECK(c.try_receive() == 2);
  CHECK(c.try_receive() == 3);
  loop.run_until_idle();
  CHECK(d.done());
  CHECK_FALSE(c.try_receive().has_value());
}

TEST_CASE("receivers are served first come, first served") {
  manual_loop loop;
  channel<int> c(1);
  waiting a(loop, c.receive());
  waiting b(loop, in_task(c.receive()));
  waiting d(loop, c.receive());
  CHECK(c.try_send(1));
  CHECK(a.done());
  CHECK(c.try_send(2));
  CHECK_FALSE(d.done());
  CHECK(c.try_send(3));
  CHECK(c.size() == 0);
  loop.run_until_idle();
  CHECK(a.take() == 1);
  CHECK(b.take() == 2);
  CHECK(d.take() == 3);
}

TEST_CASE(
    "with capacity 0 a send waits until somebody receives, and a receive until somebody sends") {
  manual_loop loop;
  channel<int> c(0);
  CHECK_FALSE(c.try_send(1));
  CHECK_FALSE(c.try_receive().has_value());
  waiting sends(loop, c.send(1));
  CHECK_FALSE(sends.done());
  CHECK(c.size() == 0);
  waiting receives(loop, c.receive());
  CHECK(sends.done());
  REQUIRE(receives.done());
  CHECK(receives.take() == 1);

  waiting waits(loop, c.receive());
  CHECK(c.try_send(2));
  CHECK(waits.take() == 2);
  waiting sends_again(loop, c.send(3));
  CHECK(c.try_receive() == 3);
  CHECK(sends_again.done());
}

TEST_CASE("a send that is canceled sends nothing, and those behind it move up") {
  manual_loop loop;
  channel<int> c(1);
  CHECK(c.try_send(0));
  waiting a(loop, c.send(1));
  waiting b(loop, c.send(2));
  a.cancel();
  CHECK_FALSE(a.done());
  CHECK(c.try_receive() == 0);
  CHECK(b.done());
  loop.run_until_idle();
  CHECK(a.was_canceled());
  CHECK(c.try_receive() == 2);
  CHECK_FALSE(c.try_receive().has_value());
}

TEST_CASE("a receive that is canceled takes nothing, and those behind it move up") {
  manual_loop loop;
  channel<int> c(1);
  waiting a(loop, c.receive());
  waiting b(loop, c.receive());
  a.cancel();
  CHECK(c.try_send(1));
  CHECK(b.done());
  loop.run_until_idle();
  CHECK(a.was_canceled());
  CHECK(b.take() == 1);
}

TEST_CASE("what was received or sent before the task was canceled counts") {
  manual_loop loop;
  channel<int> c(1);
  waiting receives(loop, in_task(c.receive()));
  CHECK(c.try_send(1));
  receives.cancel();
  loop.run_until_idle();
  CHECK(receives.take() == 1);

  CHECK(c.try_send(2));
  waiting sends(loop, in_task(c.send(3)));
  CHECK(c.try_receive() == 2);
  sends.cancel();
  loop.run_until_idle();
  CHECK_FALSE(sends.was_canceled());
  CHECK(c.try_receive() == 3);
}

TEST_CASE(
    "in a canceled task nothing is sent and nothing received, nor by what is made and dropped") {
  manual_loop loop;
  channel<int> c(2);
  CHECK(c.try_send(1));
  static_cast<void>(c.send(9));
  static_cast<void>(c.receive());
  waiting sends(loop, c.send(2), in_canceled);
  waiting receives(loop, c.receive(), in_canceled);
  CHECK(c.size() == 1);
  loop.run_until_idle();
  CHECK(sends.was_canceled());
  CHECK(receives.was_canceled());
  CHECK(c.try_receive() == 1);
}

TEST_CASE("close ends who waits: receivers with nothing, senders with channel_closed") {
  manual_loop loop;
  channel<int> full(1);
  CHECK(full.try_send(1));
  waiting sends(loop, full.send(2));
  waiting sends_in_a_task(loop, in_task(full.send(3)));
  full.close();
  loop.run_until_idle();
  CHECK_THROWS_AS(sends.take(), channel_closed);
  CHECK_THROWS_AS(sends_in_a_task.take(), channel_closed);
  CHECK_FALSE(full.try_send(4));
  CHECK(drain(full) == std::vector<int>{1});

  channel<int> empty(1);
  waiting receives(loop, empty.receive());
  waiting receives_in_a_task(loop, in_task(empty.receive()));
  empty.close();
  loop.run_until_idle();
  CHECK_FALSE(receives.take().has_value());
  CHECK_FALSE(receives_in_a_task.take().has_value());
}

TASK_TEST("a send into a closed channel throws channel_closed, whose code is errc::closed") {
  channel<std::string> c(1);
  c.close();
  std::error_code code;
  try {
    co_await c.send("too late");
  } catch (const channel_closed& e) {
    code = e.code();
  }
  CHECK(code == errc::closed);
  const auto r = co_await as_result(c.send("too late"));
  CHECK(r.error() == errc::closed);
  CHECK_THROWS_AS(r.value(), channel_closed);
}

TEST_CASE("of two channels in a race a value is taken from one only") {
  manual_loop loop;
  channel<int> a(1);
  channel<int> b(1);
  SECTION("when both have one") {
    CHECK(a.try_send(1));
    CHECK(b.try_send(2));
    waiting race(loop, in_task(when_any(a.receive(), b.receive())));
    loop.run_until_idle();
    auto won = race.take();
    CHECK(std::get<0>(won) == 1);
    CHECK(b.size() == 1);
  }
  SECTION("when both are given one while it waits") {
    waiting race(loop, in_task(when_any(a.receive(), b.receive())));
    CHECK(b.try_send(2));
    CHECK(a.try_send(1));
    loop.run_until_idle();
    auto won = race.take();
    CHECK(std::get<1>(won) == 2);
    CHECK(a.try_receive() == 1);
  }
  SECTION("when senders wait on both") {
    channel<int> x(0);
    channel<int> y(0);
    waiting sx(loop, x.send(1));
    waiting sy(loop, y.send(2));
    waiting race(loop, in_task(when_any(x.receive(), y.receive())));
    loop.run_until_idle();
    CHECK(sx.done());
    CHECK_FALSE(sy.done());
    CHECK(std::get<0>(race.take()) == 1);
    CHECK(y.try_receive() == 2);
  }
}

TEST_CASE("of two sends in a race one is sent") {
  manual_loop loop;
  channel<int> a(0);
  channel<int> b(0);
  waiting race(loop, in_task(when_any(a.send(1), b.send(2))));
  CHECK(b.try_receive() == 2);
  CHECK_FALSE(a.try_receive().has_value());
  loop.run_until_idle();
  CHECK(race.take().index() == 1);
}

TEST_CASE("a value that was received and that nobody takes goes back to the front") {
  manual_loop loop;
  event never;
  SECTION("of a channel with others in it, even if it is full") {
    channel<int> c(2);
    CHECK(c.try_send(1));
    CHECK(c.try_send(2));
    waiting both(loop, in_task(when_all(c.receive(), never.wait())));
    CHECK(c.try_send(3));
    both.cancel();
    loop.run_until_idle();
    CHECK(both.was_canceled());
    CHECK(c.size() == 3);
    CHECK_FALSE(c.try_send(4));
    CHECK(c.try_receive() == 1);
    CHECK(c.try_receive() == 2);
    CHECK(c.try_send(4));
    CHECK(drain(c) == std::vector<int>{3, 4});
  }
  SECTION("or to a receiver who waits") {
    channel<int> c(1);
    waiting both(loop, in_task(when_all(c.receive(), never.wait())));
    waiting next(loop, c.receive());
    CHECK(c.try_send(1));
    CHECK_FALSE(next.done());
    both.cancel();
    loop.run_until_idle();
    CHECK(next.take() == 1);
  }
  SECTION("of a rendezvous, whose sender has gone on") {
    channel<int> c(0);
    waiting sends(loop, c.send(1));
    waiting both(loop, in_task(when_all(c.receive(), never.wait())));
    CHECK(sends.done());
    both.cancel();
    loop.run_until_idle();
    CHECK(c.try_receive() == 1);
    CHECK_FALSE(c.try_receive().has_value());
  }
  SECTION("of a channel that was closed meanwhile") {
    channel<int> c(1);
    CHECK(c.try_send(1));
    waiting both(loop, in_task(when_all(c.receive(), never.wait())));
    c.close();
    both.cancel();
    loop.run_until_idle();
    CHECK(c.try_receive() == 1);
  }
}

TEST_CASE("each value is destroyed once, wherever it ends") {
  manual_loop loop;
  counts n;
  {
    channel<tracked> c(2);
    CHECK(c.try_send(tracked(n, 1)));
    CHECK(c.try_send(tracked(n, 2)));
    waiting canceled(loop, c.send(tracked(n, 3)));
    waiting closed(loop, c.send(tracked(n, 4)));
    static_cast<void>(c.send(tracked(n, 5)));
    canceled.cancel();
    loop.run_until_idle();
    CHECK(canceled.was_canceled());
    CHECK(c.try_receive()->value == 1);
    CHECK(n.copies == 0);
  }
  CHECK(n.alive == 0);
}

TEST_CASE("a capacity that there is no memory for is refused when the channel is made") {
  CHECK_THROWS_AS(channel<int>(unbounded - 1), std::bad_alloc);
  CHECK_THROWS_AS(channel<int>(std::numeric_limits<std::size_t>::max() / 4), std::bad_alloc);
}

TASK_TEST("an unbounded channel takes whatever comes, in its order, and nobody waits to send") {
  channel<int> c(unbounded);
  priority_channel<int> urgent(unbounded);
  CHECK(c.capacity() == unbounded);
  co_await send_numbers(c, 0, 1000);
  for (int i = 0; i < 1000; ++i) CHECK(urgent.try_send(i));
  CHECK(c.size() == 1000);
  CHECK(urgent.size() == 1000);
  for (int i = 0; i < 1000; ++i) {
    const auto first = co_await c.receive();
    CHECK(first == i);
    const auto most_urgent = co_await urgent.receive();
    CHECK(most_urgent == 999 - i);
  }
  CHECK(c.empty());
}

TASK_TEST("a send into an unbounded channel that there is no memory for fails, and no other does") {
  if (!rondo_test::heap_is_counted()) co_return;
  channel<int> c(unbounded);
  std::vector<int> sent;
  sent.reserve(64);
  int failed = 0;
  for (int i = 0; i < 64; ++i) {
    rondo::testing::fail_allocation(1);
    try {
      co_await c.send(i);
      sent.push_back(i);
    } catch (const std::bad_alloc&) {
      ++failed;
    }
    rondo::testing::fail_allocation(0);
    if (i % 3 == 0) {  // room for some
      co_await c.send(i);
      sent.push_back(i);
    }
  }
  CHECK(failed > 0);
  const auto received = drain(c);
  CHECK(received == sent);
}

TEST_CASE("try_send leaves a value that there is no room for alone") {
  channel<std::unique_ptr<int>> c(1);
  auto a = std::make_unique<int>(1);
  auto b = std::make_unique<int>(2);
  CHECK(c.try_send(std::move(a)));
  CHECK_FALSE(c.try_send(std::move(b)));
  REQUIRE(b != nullptr);
  CHECK(*b == 2);
}

LOOP_TEST("a value that is sent between turns wakes the receiver") {
  channel<int> c(1);
  auto receives = spawn(
      [](channel<int>& from) -> task<int> {
        const auto value = co_await from.receive();
        co_return *value;
      },
      std::ref(c));
  co_await yields(2);
  event_loop::current().post([&c] { c.try_send(7); });
  const int value = co_await receives;
  CHECK(value == 7);
}

LOOP_TEST(
    "a task that finds room a million times lets the receiver run before the channel is full") {
  channel<int> c(1'000'000);
  std::size_t most = 0;
  const auto sends = [&]() -> task<> {
    for (int i = 0; i < 1'000'000; ++i) co_await c.send(i);
    c.close();
  };
  const auto receives = [&]() -> task<> {
    while (auto value = co_await c.receive()) most = std::max(most, c.size());
  };
  co_await when_all(sends(), receives());
  CHECK(most < 10'000);
}

LOOP_TEST("a message allocates nothing, and neither does waiting to send or to receive it") {
  for (const std::size_t capacity : {0U, 1U, 64U}) {
    channel<int> c(capacity);
    const auto work = [&]() -> task<> {
      co_await when_all(send_numbers(c, 0, 200), [](channel<int>& from) -> task<> {
        for (int i = 0; i < 200; ++i) static_cast<void>(co_await from.receive());
      }(c));
    };
    co_await work();
    const auto before = rondo_test::allocations();
    co_await work();
    const auto during = rondo_test::allocations() - before;
    if constexpr (RONDO_FRAME_POOL != 0) CHECK(during == 0);
  }
}
