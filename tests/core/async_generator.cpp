// SPDX-License-Identifier: BSL-1.0

#include <rondo/core/async_generator.hpp>

#include <memory>
#include <string>
#include <vector>

#include <rondo/rondo.hpp>

#include "support/heap.hpp"
#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

async_generator<int> count_to(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
}
async_generator<int> count_slowly(int n) {
  for (int i = 0; i < n; ++i) {
    co_await yield();
    co_yield i;
    co_await yield();
  }
}
template <typename T>
task<std::vector<T>> all_of(async_generator<T> g) {
  std::vector<T> all;
  while (auto v = co_await g.next()) all.push_back(std::move(*v));
  co_return all;
}

}  // namespace

TASK_TEST("a generator gives what it yields, and then nothing, again and again") {
  auto g = count_to(3);
  for (int i = 0; i < 3; ++i) {
    const auto v = co_await g.next();
    CHECK(v == i);
  }
  for (int i = 0; i < 2; ++i) {
    const auto v = co_await g.next();
    CHECK_FALSE(v.has_value());
  }
}

TASK_TEST("a generator may wait before and after each value") {
  const auto all = co_await all_of(count_slowly(4));
  CHECK(all == std::vector<int>{0, 1, 2, 3});
}

TASK_TEST("a generator does nothing until it is asked, and only as much as is asked") {
  int reached = 0;
  const auto body = [](int& where) -> async_generator<int> {
    where = 1;
    co_yield 1;
    where = 2;
    co_yield 2;
    where = 3;
  };
  auto g = body(reached);
  CHECK(reached == 0);
  static_cast<void>(g.next());
  CHECK(reached == 0);
  const auto one = co_await g.next();
  CHECK(one == 1);
  CHECK(reached == 1);
  const auto two = co_await g.next();
  CHECK(two == 2);
  const auto end = co_await g.next();
  CHECK_FALSE(end.has_value());
  CHECK(reached == 3);
}

TASK_TEST("what is yielded is moved if it may be, and copied if it is a variable") {
  counts n;
  const auto body = [](counts& c) -> async_generator<tracked> {
    co_yield tracked(c, 1);
    tracked mine(c, 2);
    co_yield mine;
    co_yield std::move(mine);
  };
  {
    auto g = body(n);
    const auto a = co_await g.next();
    CHECK(a->value == 1);
    CHECK(n.copies == 0);
    const auto b = co_await g.next();
    CHECK(b->value == 2);
    CHECK(n.copies == 1);
    const auto c = co_await g.next();
    CHECK(c->value == 2);
    CHECK(n.copies == 1);
  }
  CHECK(n.alive == 0);
}

TASK_TEST("what can only be moved can be yielded, and so can what converts to it") {
  const auto pointers = []() -> async_generator<std::unique_ptr<int>> {
    co_yield std::make_unique<int>(1);
    co_yield nullptr;
  };
  const auto all = co_await all_of(pointers());
  CHECK(*all[0] == 1);
  CHECK(all[1] == nullptr);
  const auto words = []() -> async_generator<std::string> {
    co_yield "one";
    const std::string two = "two";
    co_yield two;
  };
  const auto said = co_await all_of(words());
  CHECK(said == std::vector<std::string>{"one", "two"});
}

TASK_TEST("what the body throws is thrown by next, once, and then there is nothing") {
  const auto body = [](bool waits) -> async_generator<int> {
    co_yield 1;
    if (waits) co_await yield();
    throw oops(7);
  };
  for (const bool waits : {false, true}) {
    auto g = body(waits);
    const auto one = co_await g.next();
    CHECK(one == 1);
    int number = 0;
    try {
      static_cast<void>(co_await g.next());
    } catch (const oops& e) {
      number = e.number;
    }
    CHECK(number == 7);
    const auto end = co_await g.next();
    CHECK_FALSE(end.has_value());
  }
}

TASK_TEST("a generator that is dropped destroys its locals, wherever it is") {
  counts n;
  const auto body = [](counts& c, tracked) -> async_generator<int> {
    const tracked local(c);
    co_yield 1;
    co_yield 2;
  };
  {
    const auto never_asked = body(n, tracked(n));
    CHECK(n.alive == 1);
  }
  CHECK(n.alive == 0);
  {
    auto g = body(n, tracked(n));
    static_cast<void>(co_await g.next());
    CHECK(n.alive == 2);
    auto moved = std::move(g);
    static_cast<void>(co_await moved.next());
    g = std::move(moved);
    CHECK(n.alive == 2);
  }
  CHECK(n.alive == 0);
}

TEST_CASE("a next that is canceled throws inside the body, which ends the generator") {
  manual_loop loop;
  event never;
  std::string log;
  const auto body = [](event& e, std::string& l) -> async_generator<int> {
    co_yield 1;
    try {
      co_await e.wait();
    } catch (const operation_canceled&) {
      l += "cleaned up";
      throw;
    }
    co_yield 2;
  };
  auto g = body(never, log);
  waiting one(loop, g.next());
  CHECK(one.take() == 1);
  waiting two(loop, in_task(g.next()));
  two.cancel();
  loop.run_until_idle();
  CHECK(two.was_canceled());
  CHECK(log == "cleaned up");
  waiting three(loop, g.next());
  CHECK_FALSE(three.take().has_value());
}

TEST_CASE("in a canceled task the body is not touched, and goes on in another one") {
  manual_loop loop;
  auto g = count_to(2);
  waiting a(loop, g.next(), in_canceled);
  loop.run_until_idle();
  CHECK(a.was_canceled());
  waiting b(loop, g.next());
  CHECK(b.take() == 0);
}

TEST_CASE("a value that nobody took is given by the next call, an error is not") {
  manual_loop loop;
  event never;
  const auto body = []() -> async_generator<int> {
    co_yield 1;
    throw oops(2);
  };
  auto g = body();
  waiting both(loop, in_task(when_all(g.next(), never.wait())));
  both.cancel();
  loop.run_until_idle();
  CHECK(both.was_canceled());
  waiting again(loop, g.next());
  CHECK(again.take() == 1);
  waiting fails(loop, in_task(when_all(g.next(), never.wait())));
  loop.run_until_idle();
  CHECK_THROWS_AS(fails.take(), oops);
  waiting end(loop, g.next());
  CHECK_FALSE(end.take().has_value());
}

LOOP_TEST("a generator's limit is that of whoever asks, each time") {
  const auto body = []() -> async_generator<int> {
    co_yield 1;
    co_await sleep_for(1ms);
    co_yield 2;
    co_await sleep_for(1h);
    co_yield 3;
  };
  auto g = body();
  const auto one = co_await with_timeout(1s, g.next());
  CHECK(one == 1);
  const auto two = co_await g.next();
  CHECK(two == 2);
  const auto code = co_await code_of(with_timeout(1ms, g.next()));
  CHECK(code == std::errc::timed_out);
  const auto end = co_await g.next();
  CHECK_FALSE(end.has_value());
}

LOOP_TEST("a generator sees the context variables of whoever asks") {
  static context_var<int> number(0);
  const auto body = []() -> async_generator<int> {
    for (;;) {
      co_await yield();
      const int n = co_await number;
      co_yield n;
    }
  };
  auto g = body();
  const auto none = co_await g.next();
  CHECK(none == 0);
  const auto five = co_await with_context(number, 5, g.next());
  CHECK(five == 5);
}

LOOP_TEST("generators of generators, and as_completed streams inside them, work") {
  const auto squares = [](async_generator<int> from) -> async_generator<int> {
    while (auto n = co_await from.next()) co_yield *n** n;
  };
  const auto all = co_await all_of(squares(count_slowly(4)));
  CHECK(all == std::vector<int>{0, 1, 4, 9});
  const auto ends = []() -> async_generator<std::size_t> {
    std::vector<task<>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(yields(3 - i));
    auto stream = as_completed(std::move(tasks));
    while (auto c = co_await stream.next()) co_yield c->index;
  };
  const auto indices = co_await all_of(ends());
  CHECK(indices.size() == 3);
}

LOOP_TEST("a million values need no more stack than one, and others run in between") {
  bool other_has_run = false;
  auto other = spawn(
      [](bool& run) -> task<> {
        run = true;
        co_return;
      },
      std::ref(other_has_run));
  auto g = count_to(1'000'000);
  long sum = 0;
  int before_other = 0;
  while (auto v = co_await g.next()) {
    sum += *v;
    if (!other_has_run) ++before_other;
  }
  CHECK(sum == 499'999'500'000);
  CHECK(before_other < 1000);
  co_await other;
}

TEST_CASE("a chain of generators a thousand deep needs no more stack than a short one") {
  struct deep {
    static async_generator<int> chain(int depth, int values) {
      if (depth == 0) {
        for (int i = 0; i < values; ++i) {
          if (i % 3 == 2) co_await yield();
          co_yield i;
        }
        co_return;
      }
      auto below = chain(depth - 1, values);
      while (auto v = co_await below.next()) co_yield *v + 1;
    }
  };
  const int sum = on_small_stack(256 << 10, [] {
    manual_loop loop;
    return loop.run([]() -> task<int> {
      int total = 0;
      auto g = deep::chain(1000, 20);
      while (auto v = co_await g.next()) total += *v;
      co_return total;
    }());
  });
  CHECK(sum == 20 * 1000 + 190);
}

LOOP_TEST("asking a generator allocates nothing") {
  auto g = count_slowly(1'000'000);
  for (int i = 0; i < 10; ++i) static_cast<void>(co_await g.next());
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 100; ++i) static_cast<void>(co_await g.next());
  const auto during = rondo_test::allocations() - before;
  if constexpr (RONDO_FRAME_POOL != 0) CHECK(during == 0);
}

LOOP_TEST("a generator that is closed is destroyed where it is, and gives nothing any more") {
  const auto counted = std::make_shared<int>(0);
  const auto values = [](std::shared_ptr<int> kept) -> async_generator<int> {
    for (;;) co_yield ++*kept;
  };
  for (const int asked : {0, 1}) {
    auto g = values(counted);
    if (asked != 0) static_cast<void>(co_await g.next());
    CHECK(counted.use_count() == 2);
    co_await g.close();
    CHECK(counted.use_count() == 1);
    g.close();
    auto moved = std::move(g);
    const auto after = co_await moved.next();
    CHECK(!after);
  }
}

LOOP_TEST("a generator that is closed before its next() begins, or before the value is taken") {
  const auto values = [](std::shared_ptr<int> kept) -> async_generator<int> {
    for (;;) co_yield ++*kept;
  };
  const auto closes = [](async_generator<int>& g) -> task<> {
    g.close();
    co_return;
  };
  const auto counted = std::make_shared<int>(0);
  auto before = values(counted);
  const auto [done, nothing] = co_await when_all(closes(before), before.next());
  CHECK(!nothing);
  auto after = values(counted);
  const auto [taken, closed] = co_await when_all(after.next(), closes(after));
  CHECK(!taken);
  CHECK(counted.use_count() == 1);
}
