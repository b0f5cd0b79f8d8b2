// SPDX-License-Identifier: BSL-1.0

#include <functional>
#include <iterator>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <rondo/compose/when_all.hpp>

#include "compose/children.hpp"
#include "support/heap.hpp"
#include "support/helpers.hpp"

using rondo::max_concurrency;
using rondo::operation_canceled;
using rondo::task;
using rondo::when_all;
using namespace rondo::test;

namespace {

/// Counts how many of its kind run at once.
struct gauge {
  int now = 0;
  int most = 0;
  int started = 0;
};
task<int> gauged(gauge& m, gate* g, int n) {
  ++m.started;
  m.most = std::max(m.most, ++m.now);
  if (g != nullptr) co_await g->wait();
  --m.now;
  co_return n;
}

}  // namespace

TASK_TEST("values come in the order of the range, whatever the limit") {
  for (const std::size_t limit : {1u, 2u, 5u, 100u}) {
    const auto values = co_await when_all(pulled(5, number), max_concurrency{limit});
    CHECK(values == std::vector<int>{0, 1, 2, 3, 4});
  }
  const auto none = co_await when_all(pulled(0, number), max_concurrency{3});
  CHECK(none.empty());
}

TEST_CASE("a limit of 0 is refused") {
  CHECK_THROWS_AS(when_all(pulled(1, number), max_concurrency{0}), std::invalid_argument);
}

TASK_TEST("a container can be given away, with a limit") {
  std::vector<task<int>> tasks;
  for (int i = 0; i < 7; ++i) tasks.push_back(number(i));
  const auto values = co_await when_all(std::move(tasks), max_concurrency{3});
  CHECK(values == std::vector<int>{0, 1, 2, 3, 4, 5, 6});
}

TASK_TEST("with a limit, void gives nothing, references wrappers, and what only moves is moved") {
  std::string text;
  const auto nothing = [](int) -> task<> { co_return; };
  static_assert(std::is_void_v<
                rondo::await_result_t<decltype(when_all(pulled(3, nothing), max_concurrency{2}))>>);
  co_await when_all(pulled(3, nothing), max_concurrency{2});
  const auto refer = [&text](int) {
    return [](std::string& t) -> task<std::string&> { co_return t; }(text);
  };
  const auto wrapped = co_await when_all(pulled(2, refer), max_concurrency{2});
  CHECK(&wrapped.at(1).get() == &text);
  const auto unique = [](int n) -> task<std::unique_ptr<int>> {
    co_return std::make_unique<int>(n);
  };
  const auto pointers = co_await when_all(pulled(3, unique), max_concurrency{2});
  CHECK(*pointers.at(2) == 2);
}

TEST_CASE("at most n run at once, and each end makes room for one more") {
  manual_loop loop;
  gauge m;
  std::deque<gate> gates(6);
  auto make = [&](int i) { return gauged(m, &gates[static_cast<std::size_t>(i)], i); };
  manual_loop::root root(loop, when_all(pulled(6, make), max_concurrency{2}));
  root.start();
  CHECK(m.started == 2);
  gates[1].open();
  loop.run_until_idle();
  CHECK(m.started == 3);
  gates[0].open();
  gates[2].open();
  loop.run_until_idle();
  CHECK(m.started == 5);
  for (auto& g : gates) g.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(m.most == 2);
  const auto values = root.take();
  CHECK(values == std::vector<int>{0, 1, 2, 3, 4, 5});
}

TASK_TEST("elements are pulled one by one: a view of a hundred thousand never holds more than n") {
  counts c;
  int most = 0;
  const auto work = [](tracked t) -> task<int> { co_return t.value; };
  auto make = [&](int i) {
    most = std::max(most, c.alive + 1);
    return work(tracked(c, i));
  };
  const auto values = co_await when_all(pulled(100'000, make), max_concurrency{8});
  CHECK(values.size() == 100'000);
  CHECK(values[77'777] == 77'777);
  CHECK(most <= 8);
  CHECK(c.alive == 0);
}

TEST_CASE("a million elements that end at once do not grow the stack") {
  const long sum = on_small_stack(256 << 10, [] {
    manual_loop loop;
    const auto work = []() -> task<long> {
      long n = 0;
      auto add = [&n](int i) {
        return [](long& s, int j) -> task<> {
          s += j;
          co_return;
        }(n, i);
      };
      co_await when_all(pulled(1'000'000, add), max_concurrency{4});
      co_return n;
    };
    return loop.run(work());
  });
  CHECK(sum == 499'999'500'000);
}

TEST_CASE("an element that ends at once takes its place again in the same turn") {
  manual_loop loop;
  gate g;
  gauge m;
  auto make = [&](int i) { return gauged(m, i == 0 ? &g : nullptr, i); };
  manual_loop::root root(loop, when_all(pulled(10, make), max_concurrency{2}));
  root.start();
  CHECK(m.started == 10);
  CHECK(!root.done());
  g.open();
  loop.run_until_idle();
  CHECK(root.done());
  static_cast<void>(root.take());
}

TEST_CASE("after an error nothing more is pulled, the others are canceled and joined") {
  manual_loop loop;
  gate g, fail;
  int pulls = 0;
  const auto work = [](gate& at, gate& f, int i) -> task<> {
    if (i == 1) {
      co_await f.wait();
      throw oops(i);
    }
    co_await at.wait();
  };
  auto make = [&](int i) {
    ++pulls;
    return work(g, fail, i);
  };
  manual_loop::root root(loop, when_all(pulled(10, make), max_concurrency{3}));
  root.start();
  CHECK(pulls == 3);
  fail.open();
  loop.run_until_idle();
  CHECK(pulls == 3);
  CHECK(g.waiting() == 0);
  REQUIRE(root.done());
  CHECK(error_of(root) == 1);
  CHECK(loop.reports.empty());
}

TEST_CASE(
    "with a limit, an error is thrown only when a slow sibling has ended, and losers are "
    "reported") {
  manual_loop loop;
  gate fail;
  parked slow;
  const auto work = [](parked& p, gate& f, int i) -> task<> {
    if (i == 0) {
      static_cast<void>(co_await p);
      throw oops(5);
    }
    co_await f.wait();
    throw oops(i);
  };
  auto make = [&](int i) { return work(slow, fail, i); };
  manual_loop::root root(loop, when_all(pulled(3, make), max_concurrency{3}));
  root.start();
  fail.open();
  loop.run_until_idle();
  CHECK(!root.done());
  slow.resume();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 1);
  CHECK(loop.reports.size() == 2);
}

TASK_TEST("an error at once ends the pulling at once") {
  int pulls = 0;
  const auto work = [](int i) -> task<int> {
    if (i == 2) throw oops(2);
    co_return i;
  };
  auto make = [&](int i) {
    ++pulls;
    return work(i);
  };
  int seen = 0;
  try {
    static_cast<void>(co_await when_all(pulled(1000, make), max_concurrency{4}));
  } catch (const oops& e) {
    seen = e.number;
  }
  CHECK(seen == 2);
  CHECK(pulls == 3);
}

TEST_CASE("a range that throws when an element is made counts as a failed child") {
  for (const int at : {0, 1, 3}) {
    manual_loop loop;
    gate g;
    counts c;
    const auto work = [](gate& w, tracked) -> task<int> {
      co_await w.wait();
      co_return 1;
    };
    auto make = [&](int i) {
      if (i == at) throw oops(7);
      return work(g, tracked(c));
    };
    manual_loop::root root(loop, when_all(pulled(5, make), max_concurrency{2}));
    root.start();
    for (int i = 0; i < 5; ++i) {
      g.open();
      loop.run_until_idle();
    }
    REQUIRE(root.done());
    CHECK(error_of(root) == 7);
    CHECK(c.alive == 0);
  }
}

TEST_CASE("a range that throws while it goes on counts as a failed child, and drops what it gave") {
  manual_loop loop;
  gate g;
  gauge m;
  auto make = [&](int i) { return gauged(m, &g, i); };
  manual_loop::root root(loop, when_all(pulled(5, make, 2), max_concurrency{4}));
  root.start();
  CHECK(m.started == 1);
  loop.run_until_idle();
  CHECK(g.waiting() == 0);
  REQUIRE(root.done());
  CHECK(error_of(root) == 9);
}

TASK_TEST("a value whose move throws counts as a failed child") {
  struct fragile {
    int n;
    explicit fragile(int i) : n(i) {}
    fragile(fragile&& other) : n(other.n - 1) {
      if (n == 0) throw oops(3);
    }
  };
  const auto work = [](int n) -> task<fragile> { co_return fragile(n); };
  int pulls = 0;
  auto make = [&](int i) {
    ++pulls;
    return work(i == 1 ? 2 : 1000);
  };
  int seen = 0;
  try {
    static_cast<void>(co_await when_all(pulled(10, make), max_concurrency{1}));
  } catch (const oops& e) {
    seen = e.number;
  }
  CHECK(seen == 3);
  CHECK(pulls == 2);
}

TEST_CASE("canceled, it pulls nothing more and throws, or gives the values if all succeed") {
  for (const bool swallow : {false, true}) {
    manual_loop loop;
    gate g;
    int pulls = 0;
    const auto work = [](gate& at, bool s) -> task<int> {
      try {
        co_await at.wait();
      } catch (const operation_canceled&) {
        if (!s) throw;
      }
      co_return 1;
    };
    auto make = [&](int) {
      ++pulls;
      return work(g, swallow);
    };
    manual_loop::root root(loop, when_all(pulled(swallow ? 3 : 10, make), max_concurrency{3}));
    root.start();
    root.line.cancel();
    CHECK(g.waiting() == 0);
    loop.run_until_idle();
    REQUIRE(root.done());
    CHECK(pulls == 3);
    CHECK(error_of(root) == (swallow ? 0 : -1));
    CHECK(loop.reports.empty());
  }
}

TEST_CASE("with a limit, a real error beats the cancellation, whichever came first") {
  for (const int failing : {0, 1}) {
    manual_loop loop;
    gate g;
    const auto work = [](gate& at, bool fails) -> task<> {
      try {
        co_await at.wait();
      } catch (const operation_canceled&) {
        if (!fails) throw;
      }
      throw oops(6);
    };
    auto make = [&](int i) { return work(g, i == failing); };
    manual_loop::root root(loop, when_all(pulled(2, make), max_concurrency{2}));
    root.start();
    root.line.cancel();
    loop.run_until_idle();
    REQUIRE(root.done());
    CHECK(error_of(root) == 6);
  }
}

TEST_CASE("how it ended counts for the combinator around it") {
  manual_loop loop;
  gate a, fail;
  const auto work = [](gate& at) -> task<> {
    co_await at.wait();
    throw oops(2);
  };
  auto make = [&](int) { return work(fail); };
  manual_loop::root root(loop,
                         when_all(when_all(pulled(1, make), max_concurrency{1}), a.wait()));
  root.start();
  fail.open();
  loop.run_until_idle();
  CHECK(a.waiting() == 0);
  REQUIRE(root.done());
  CHECK(error_of(root) == 2);
}

TEST_CASE("the lanes of an unbounded range are one allocation") {
  manual_loop loop;
  gate g;
  g.open();
  auto make = [&](int) { return g.wait(); };
  loop.run(when_all(pulled(1, make), max_concurrency{64}));
  const auto before = rondo_test::allocations();
  loop.run(when_all(pulled(10'000, make), max_concurrency{64}));
  const auto during = rondo_test::allocations() - before;
  CHECK(during <= 1);
}

namespace {

task<int> tree_of_lanes(int depth) {
  if (depth == 0) co_return 1;
  auto make = [depth](int i) { return i == 0 ? tree_of_lanes(depth - 1) : number(1); };
  const auto values = co_await when_all(pulled(2, make), max_concurrency{2});
  co_return values[0] + values[1];
}

}  // namespace

TEST_CASE("a hundred thousand nested limited ranges fit in a small stack") {
  const int nodes = on_small_stack(256 << 10, [] {
    manual_loop loop;
    return loop.run(tree_of_lanes(100'000));
  });
  CHECK(nodes == 100'001);
}
