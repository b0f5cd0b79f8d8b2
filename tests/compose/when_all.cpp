// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/when_all.hpp>

#include <functional>
#include <memory>
#include <string>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include "compose/children.hpp"
#include "support/heap.hpp"
#include "support/helpers.hpp"

using rondo::gather;
using rondo::operation_canceled;
using rondo::task;
using rondo::unhandled_error;
using rondo::when_all;
using namespace rondo::test;

// Values

TASK_TEST("when_all gives all values as a tuple, void as monostate, references as wrappers") {
  std::string text = "a";
  const auto refer = [](std::string& t) -> task<std::string&> { co_return t; };
  const auto unique = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
  auto values = co_await when_all(number(1), nothing(), refer(text), unique());
  static_assert(std::is_same_v<decltype(values),
                               std::tuple<int, std::monostate, std::reference_wrapper<std::string>,
                                          std::unique_ptr<int>>>);
  CHECK(std::get<0>(values) == 1);
  CHECK(&std::get<2>(values).get() == &text);
  CHECK(*std::get<3>(values) == 3);
}

TASK_TEST("when_all of one and of nothing are tuples too") {
  const std::tuple<int> one = co_await when_all(number(1));
  const std::tuple<> none = co_await when_all();
  CHECK(std::get<0>(one) == 1);
  static_cast<void>(none);
}

TASK_TEST("gather is another name of when_all") {
  const auto values = co_await gather(number(1), number(2));
  CHECK(values == std::tuple(1, 2));
}

TASK_TEST("when_all can be kept before it is awaited, and does nothing until then") {
  int runs = 0;
  const auto count = [](int& n) -> task<> {
    ++n;
    co_return;
  };
  {
    const auto dropped = when_all(count(runs), count(runs));
  }
  auto kept = when_all(count(runs), count(runs));
  CHECK(runs == 0);
  co_await std::move(kept);
  CHECK(runs == 2);
}

TASK_TEST("a value is not copied on its way through when_all") {
  counts c;
  const auto make = [](counts& n) -> task<tracked> { co_return tracked(n, 1); };
  {
    const auto values = co_await when_all(make(c), make(c));
    CHECK(std::get<1>(values).value == 1);
  }
  CHECK(c.copies == 0);
  CHECK(c.alive == 0);
}

TASK_TEST("combinators nest") {
  const auto values = co_await when_all(when_all(number(1), number(2)), number(3));
  CHECK(values == std::tuple(std::tuple(1, 2), 3));
}

// Order

TEST_CASE("children start in order, at once, and the result comes when the last has ended") {
  manual_loop loop;
  std::string log;
  gate a, b, c;
  manual_loop::root root(loop, when_all(step(log, 'a', a), step(log, 'b', b), step(log, 'c', c)));
  root.start();
  CHECK(log == "abc");
  c.open();
  loop.run_until_idle();
  a.open();
  loop.run_until_idle();
  CHECK(!root.done());
  b.open();
  loop.run_until_idle();
  CHECK(log == "abcCAB");
  REQUIRE(root.done());
  const auto values = root.take();
  CHECK(values == std::tuple('a', 'b', 'c'));
}

TEST_CASE("children that end at once and children that sleep may be mixed") {
  manual_loop loop;
  std::string log;
  gate g;
  manual_loop::root root(loop, when_all(number(1), step(log, 'a', g), number(2)));
  root.start();
  CHECK(!root.done());
  g.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  const auto values = root.take();
  CHECK(values == std::tuple(1, 'a', 2));
}

TASK_TEST("when nobody has to wait, when_all does not wait either") {
  const bool ready_before = loop.has_ready();
  co_await when_all(number(1), number(2));
  CHECK(!ready_before);
  CHECK(!loop.has_ready());
}

// Errors

TEST_CASE("the first error cancels the others, and is thrown when they have ended") {
  manual_loop loop;
  gate waits, fail, cleanup;
  bool cleaned = false;
  const auto slow = [](gate& g, gate& last, bool& done) -> task<> {
    try {
      co_await g.wait();
    } catch (const operation_canceled&) {
      done = true;
      throw;
    }
    static_cast<void>(last);
  };
  manual_loop::root root(loop, when_all(slow(waits, cleanup, cleaned), fails_after(fail, 4)));
  root.start();
  fail.open();
  CHECK(!root.done());
  loop.run_until_idle();
  CHECK(cleaned);
  CHECK(waits.waiting() == 0);
  REQUIRE(root.done());
  CHECK(error_of(root) == 4);
  CHECK(loop.reports.empty());  // the cancellation that the error caused is not an error
}

TEST_CASE("an error waits for a sibling that takes its time to end") {
  manual_loop loop;
  gate fail;
  parked slow;  // cannot be canceled
  manual_loop::root root(loop, when_all(slow, fails_after(fail, 4)));
  root.start();
  fail.open();
  loop.run_until_idle();
  CHECK(!root.done());
  slow.resume();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 4);
}

TASK_TEST(
    "after an error at once the later children are not started, and their arguments destroyed") {
  counts c;
  int runs = 0;
  const auto count = [](int& n, tracked) -> task<> {
    ++n;
    co_return;
  };
  int seen = 0;
  try {
    co_await when_all(count(runs, tracked(c)), fails(3), count(runs, tracked(c)));
  } catch (const oops& e) {
    seen = e.number;
  }
  CHECK(seen == 3);
  CHECK(runs == 1);
  CHECK(c.alive == 0);
}

TASK_TEST("an error at once cancels the earlier children") {
  gate g;
  int seen = 0;
  try {
    co_await when_all(g.wait(), fails(3));
  } catch (const oops& e) {
    seen = e.number;
  }
  CHECK(seen == 3);
  CHECK(g.waiting() == 0);
}

TEST_CASE("errors that lose against the first are reported as suppressed") {
  manual_loop loop;
  gate g, fail;
  manual_loop::root root(
      loop, when_all(fails_when_canceled(g, 1), fails_after(fail, 2), fails_when_canceled(g, 3)));
  root.start();
  fail.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 2);
  REQUIRE(loop.reports.size() == 2);
  CHECK(loop.reports[0].first == unhandled_error::kind::suppressed);
  CHECK(loop.reports[0].second == "oops");
}

TEST_CASE("a sibling that succeeds although it was canceled does not hide the error") {
  manual_loop loop;
  gate g, fail;
  manual_loop::root root(loop, when_all(succeeds_when_canceled(g, 1), fails_after(fail, 2)));
  root.start();
  fail.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 2);
  CHECK(loop.reports.empty());
}

TASK_TEST("operation_canceled from a child that was not canceled is an ordinary error") {
  const auto throws_it = []() -> task<> {
    throw operation_canceled();
    co_return;
  };
  gate g;
  bool caught = false;
  try {
    co_await when_all(g.wait(), throws_it());
  } catch (const operation_canceled&) {
    caught = true;
  }
  CHECK(caught);
  // This task was not canceled, so it may go on waiting.
  g.open();
  co_await g.wait();
}

TEST_CASE(
    "operation_canceled from a child that was not canceled keeps its rank against later errors") {
  manual_loop loop;
  gate g;
  const auto throws_it = []() -> task<> {
    throw operation_canceled();
    co_return;
  };
  manual_loop::root root(loop, when_all(fails_when_canceled(g, 5), throws_it()));
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(loop.reports.size() == 1);
}

// Cancellation

TEST_CASE("canceling when_all cancels all children and waits for them") {
  manual_loop loop;
  gate a, b;
  manual_loop::root root(loop, when_all(a.wait(), b.wait()));
  root.start();
  root.line.cancel();
  CHECK(a.waiting() == 0);
  CHECK(b.waiting() == 0);
  CHECK(!root.done());
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(loop.reports.empty());
}

TEST_CASE("canceled, when_all gives the values if all children still succeed") {
  manual_loop loop;
  gate g;
  manual_loop::root root(loop,
                         when_all(succeeds_when_canceled(g, 1), succeeds_when_canceled(g, 2)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  const auto values = root.take();
  CHECK(values == std::tuple(1, 2));
}

TEST_CASE("canceled, when_all throws the cancellation although some children succeed") {
  manual_loop loop;
  gate g;
  manual_loop::root root(loop, when_all(succeeds_when_canceled(g, 1), g.wait(), number(2)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
}

TEST_CASE("a real error beats the cancellation, whichever came first") {
  for (const bool first : {true, false}) {
    manual_loop loop;
    gate a, b;
    auto pair = when_all(fails_when_canceled(first ? a : b, 6), (first ? b : a).wait());
    manual_loop::root root(loop, std::move(pair));
    root.start();
    root.line.cancel();
    loop.run_until_idle();
    REQUIRE(root.done());
    CHECK(error_of(root) == 6);
    CHECK(loop.reports.empty());
  }
}

TEST_CASE("a real error beats a cancellation that was recorded before it") {
  manual_loop loop;
  gate g;
  const auto fails_later = [](gate& at, parked& more) -> task<> {
    try {
      co_await at.wait();
    } catch (const operation_canceled&) {
    }
    static_cast<void>(co_await more);
    throw oops(7);
  };
  parked p;
  manual_loop::root root(loop, when_all(fails_later(g, p), g.wait()));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  CHECK(!root.done());
  p.resume();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 7);
}

TEST_CASE("in a canceled scope the children start canceled") {
  manual_loop loop;
  gate g;
  int reached = 0;
  const auto work = [](gate& at, int& n) -> task<> {
    ++n;
    co_await at.wait();
    ++n;
  };
  manual_loop::root root(loop, when_all(work(g, reached), work(g, reached)));
  root.line.cancel();
  root.start();
  CHECK(!root.done());
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(reached == 2);
}

TEST_CASE("a child that ends while its siblings are being canceled is waited for once") {
  manual_loop loop;
  gate a, b, c;
  manual_loop::root root(loop, when_all(a.wait(), b.wait(), c.wait()));
  root.start();
  a.open();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
}

TEST_CASE("how when_all ended counts for the combinator around it") {
  manual_loop loop;
  gate a, b, fail;
  manual_loop::root root(loop, when_all(when_all(a.wait(), fails_after(fail, 2)), b.wait()));
  root.start();
  fail.open();
  CHECK(b.waiting() == 1);
  loop.run_until_idle();
  CHECK(b.waiting() == 0);
  REQUIRE(root.done());
  CHECK(error_of(root) == 2);
}

// Children of all kinds

TEST_CASE("a plain operation as a child costs no frame") {
  manual_loop loop;
  gate g;
  auto pair = when_all(g.wait(), g.wait());
  manual_loop::root root(loop, std::move(pair));
  const auto before = rondo_test::allocations();
  root.start();
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
  g.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  static_cast<void>(root.take());
}

TASK_TEST("a description that is kept takes its lvalues by reference and the rest by value") {
  parked p;
  auto kept = when_all(p, number(2));
  static_assert(
      std::is_same_v<decltype(kept), rondo::detail::arguments_description<rondo::detail::all_values,
                                                                          parked&, task<int>>>);
  manual_loop::root root(loop, std::move(kept));
  co_return;
}

TASK_TEST("a child whose value cannot be moved out makes when_all fail, and leaves nothing") {
  struct fragile {
    explicit fragile(counts& c) : t(c) {}
    fragile(fragile&& other) : t(other.t) {
      if (++moved == 2) throw oops(5);
      if (other.moved == 1) throw oops(6);
    }
    tracked t;
    int moved = 0;
  };
  counts c;
  const auto make = [](counts& n) -> task<fragile> {
    fragile f(n);
    f.moved = 0;
    co_return f;
  };
  const auto make_bad = [](counts& n) -> task<fragile> {
    fragile f(n);
    f.moved = 1;
    co_return std::move(f);
  };
  int seen = 0;
  try {
    co_await when_all(make(c), make_bad(c));
  } catch (const oops& e) {
    seen = e.number;
  }
  CHECK(seen == 6);
  CHECK(c.alive == 0);
}

// Depth

namespace {

task<int> tree_of_pairs(int depth) {
  if (depth == 0) co_return 1;
  const auto [below, here] = co_await when_all(tree_of_pairs(depth - 1), number(1));
  co_return below + here;
}
task<int> sleeping_tree(int depth, gate& g) {
  if (depth == 0) {
    co_await g.wait();
    co_return 1;
  }
  const auto [below, here] = co_await when_all(sleeping_tree(depth - 1, g), number(1));
  co_return below + here;
}
constexpr int deep = 100'000;

}  // namespace

TEST_CASE("a hundred thousand nested when_all fit in a small stack") {
  const int nodes = on_small_stack(256 << 10, [] {
    manual_loop loop;
    return loop.run(tree_of_pairs(deep));
  });
  CHECK(nodes == deep + 1);
}

TEST_CASE("a hundred thousand nested when_all that sleep unwind in a small stack") {
  const int nodes = on_small_stack(256 << 10, [] {
    manual_loop loop;
    gate g;
    manual_loop::root root(loop, sleeping_tree(deep, g));
    root.start();
    loop.run_until_idle();
    if (root.done() || g.waiting() != 1) return -1;
    g.open();
    loop.run_until_idle();
    return root.done() ? root.take() : -2;
  });
  CHECK(nodes == deep + 1);
}

TEST_CASE(
    "a cancellation reaches the bottom of a hundred thousand nested when_all in a small stack") {
  const int how = on_small_stack(256 << 10, [] {
    manual_loop loop;
    gate g;
    manual_loop::root root(loop, sleeping_tree(deep, g));
    root.start();
    loop.run_until_idle();
    root.line.cancel();
    if (g.waiting() != 0) return 1;
    loop.run_until_idle();
    if (!root.done()) return 2;
    return error_of(root);
  });
  CHECK(how == -1);
}

TEST_CASE("canceled while its start is put off, a deep when_all starts its children canceled") {
  const int how = on_small_stack(256 << 10, [] {
    manual_loop loop;
    gate g;
    manual_loop::root root(loop, sleeping_tree(deep, g));
    root.start();
    loop.turn();
    root.line.cancel();
    loop.run_until_idle();
    if (!root.done()) return 2;
    return error_of(root);
  });
  CHECK(how == -1);
}
