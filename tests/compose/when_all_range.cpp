// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/when_all.hpp>

#include <array>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include <rondo/compose/when_all.hpp>

#include <rondo/rondo.hpp>

#include "compose/children.hpp"
#include "support/heap.hpp"
#include "support/helpers.hpp"

using rondo::operation_canceled;
using rondo::task;
using rondo::when_all;
using namespace rondo::test;

namespace {

task<int> number_after(gate& g, int n) {
  co_await g.wait();
  co_return n;
}
task<> waits(gate& g) { co_await g.wait(); }

std::vector<task<int>> numbers(int count) {
  std::vector<task<int>> tasks;
  for (int i = 0; i < count; ++i) tasks.push_back(number(i));
  return tasks;
}

/// A view, in the words of the standard, whose elements are made when they are looked at.
template <typename F>
struct made_view : std::ranges::view_base {
  int count;
  F make;
  made_view(int n, F f) : count(n), make(f) {}
  struct iterator {
    using iterator_category = std::input_iterator_tag;
    using difference_type = std::ptrdiff_t;
    using value_type = std::invoke_result_t<F, int>;
    const F* make = nullptr;
    int at = 0;
    auto operator*() const { return (*make)(at); }
    iterator& operator++() {
      ++at;
      return *this;
    }
    iterator operator++(int) {
      auto old = *this;
      ++at;
      return old;
    }
    bool operator==(const iterator& other) const { return at == other.at; }
  };
  iterator begin() const { return {&make, 0}; }
  iterator end() const { return {&make, count}; }
  std::size_t size() const { return static_cast<std::size_t>(count); }
};

}  // namespace

TASK_TEST("when_all of a container gives a vector in its order") {
  const std::vector<int> values = co_await when_all(numbers(3));
  CHECK(values == std::vector<int>{0, 1, 2});
}

TASK_TEST("an empty range gives an empty vector, and one element a vector of one") {
  const auto none = co_await when_all(std::vector<task<int>>());
  const auto one = co_await when_all(numbers(1));
  co_await when_all(std::vector<task<>>());
  CHECK(none.empty());
  CHECK(one == std::vector<int>{0});
}

TASK_TEST("a range of void gives nothing, references come as wrappers, what only moves is moved") {
  gate g;
  g.open();
  std::vector<task<>> nothing;
  nothing.push_back(waits(g));
  static_assert(std::is_void_v<rondo::await_result_t<decltype(when_all(std::move(nothing)))>>);
  co_await when_all(std::move(nothing));

  std::string text;
  const auto refer = [](std::string& t) -> task<std::string&> { co_return t; };
  std::vector<task<std::string&>> references;
  references.push_back(refer(text));
  const auto wrapped = co_await when_all(std::move(references));
  static_assert(
      std::is_same_v<decltype(wrapped), const std::vector<std::reference_wrapper<std::string>>>);
  CHECK(&wrapped.at(0).get() == &text);

  const auto unique = [](int n) -> task<std::unique_ptr<int>> {
    co_return std::make_unique<int>(n);
  };
  std::vector<task<std::unique_ptr<int>>> pointers;
  pointers.push_back(unique(1));
  pointers.push_back(unique(2));
  const auto all = co_await when_all(std::move(pointers));
  CHECK(*all.at(1) == 2);
}

TASK_TEST("containers of all kinds can be given away") {
  std::array<task<int>, 2> array{number(1), number(2)};
  std::list<task<int>> list;
  list.push_back(number(3));
  std::deque<task<int>> deque;
  deque.push_back(number(4));
  const auto a = co_await when_all(std::move(array));
  const auto l = co_await when_all(std::move(list));
  const auto d = co_await when_all(std::move(deque));
  CHECK(a == std::vector<int>{1, 2});
  CHECK(l == std::vector<int>{3});
  CHECK(d == std::vector<int>{4});
}

TASK_TEST("a view that makes tasks is read once, where it is awaited") {
  int made = 0;
  auto make = [&made](int i) {
    ++made;
    return number(i * i);
  };
  auto kept = when_all(made_view(4, make));
  CHECK(made == 0);
  const auto values = co_await std::move(kept);
  CHECK(made == 4);
  CHECK(values == std::vector<int>{0, 1, 4, 9});
  const made_view view(2, make);
  const auto borrowed = co_await when_all(view);
  CHECK(borrowed == std::vector<int>{0, 1});
}

TASK_TEST("a container of what may be awaited again is taken by reference") {
  std::vector<ready_awaiter> kept{{1}, {2}};
  const auto values = co_await when_all(kept);
  CHECK(values == std::vector<int>{1, 2});
  CHECK(kept.size() == 2);
}

TEST_CASE("the children of a range start in order and the values keep it, whoever ends first") {
  manual_loop loop;
  std::deque<gate> gates(3);
  std::vector<task<int>> tasks;
  for (int i = 0; i < 3; ++i) tasks.push_back(number_after(gates[static_cast<std::size_t>(i)], i));
  manual_loop::root root(loop, when_all(std::move(tasks)));
  root.start();
  for (const std::size_t i : {2u, 0u, 1u}) {
    CHECK(!root.done());
    gates[i].open();
    loop.run_until_idle();
  }
  REQUIRE(root.done());
  const auto values = root.take();
  CHECK(values == std::vector<int>{0, 1, 2});
}

TEST_CASE("the first error of a range cancels the others and is thrown when they have ended") {
  manual_loop loop;
  gate g, fail;
  parked slow;
  const auto uncancelable = [](parked& p) -> task<> { static_cast<void>(co_await p); };
  std::vector<task<>> tasks;
  tasks.push_back(waits(g));
  tasks.push_back(fails_after(fail, 2));
  tasks.push_back(fails_after(fail, 3));
  tasks.push_back(uncancelable(slow));
  manual_loop::root root(loop, when_all(std::move(tasks)));
  root.start();
  fail.open();
  loop.run_until_idle();
  CHECK(g.waiting() == 0);
  CHECK(!root.done());
  slow.resume();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 2);
  CHECK(loop.reports.size() == 1);
}

TASK_TEST(
    "after an error at once the later elements are not started, and their arguments destroyed") {
  counts c;
  int runs = 0;
  const auto work = [](int& n, bool fail, tracked) -> task<> {
    ++n;
    if (fail) throw oops(1);
    co_return;
  };
  std::vector<task<>> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(work(runs, i == 1, tracked(c)));
  int seen = 0;
  try {
    co_await when_all(std::move(tasks));
  } catch (const oops& e) {
    seen = e.number;
  }
  tasks.clear();
  CHECK(seen == 1);
  CHECK(runs == 2);
  CHECK(c.alive == 0);
}

TEST_CASE(
    "canceling when_all of a range cancels all elements, and gives the values if all succeed all the same") {
  for (const bool swallow : {false, true}) {
    manual_loop loop;
    gate g;
    const auto work = [](gate& at, bool s) -> task<int> {
      try {
        co_await at.wait();
      } catch (const operation_canceled&) {
        if (!s) throw;
      }
      co_return 1;
    };
    std::vector<task<int>> tasks;
    for (int i = 0; i < 3; ++i) tasks.push_back(work(g, swallow));
    manual_loop::root root(loop, when_all(std::move(tasks)));
    root.start();
    CHECK(g.waiting() == 3);
    root.line.cancel();
    CHECK(g.waiting() == 0);
    loop.run_until_idle();
    REQUIRE(root.done());
    CHECK(error_of(root) == (swallow ? 0 : -1));
  }
}

TASK_TEST("what iterating throws is thrown before anything was started") {
  int runs = 0;
  counts c;
  const auto run = [](int& n, tracked) -> task<> {
    ++n;
    co_return;
  };
  auto make = [&](int i) {
    if (i == 2) throw oops(4);
    return run(runs, tracked(c));
  };
  int seen = 0;
  try {
    co_await when_all(made_view(3, make));
  } catch (const oops& e) {
    seen = e.number;
  }
  CHECK(seen == 4);
  CHECK(runs == 0);
  CHECK(c.alive == 0);
}

TASK_TEST("a range costs one allocation for its children and one for the values") {
  gate g;
  g.open();
  // More than what is recycled, so that every allocation can be seen.
  std::deque<gate> gates(200);
  for (auto& each : gates) each.open();
  struct waiter {
    gate& g;
    gate::description operator()(int) const { return g.wait(); }
  };
  const auto before = rondo_test::allocations();
  co_await when_all(made_view(200, waiter{g}));
  const auto for_void = rondo_test::allocations() - before;
  auto tasks = numbers(200);
  const auto again = rondo_test::allocations();
  const auto values = co_await when_all(std::move(tasks));
  const auto for_values = rondo_test::allocations() - again;
  CHECK(values.size() == 200);
  if (rondo_test::heap_is_counted()) {
    CHECK(for_void <= 1);
    CHECK(for_values <= 2);
  }
}

TASK_TEST("ten thousand children in one range") {
  const auto values = co_await when_all(numbers(10'000));
  long sum = 0;
  for (const int n : values) sum += n;
  CHECK(sum == 49'995'000);
}

TEST_CASE("ten thousand sleeping children are canceled and joined") {
  manual_loop loop;
  gate g;
  std::vector<task<>> tasks;
  for (int i = 0; i < 10'000; ++i) tasks.push_back(waits(g));
  manual_loop::root root(loop, when_all(std::move(tasks)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
}

namespace {

task<int> tree_of_ranges(int depth) {
  if (depth == 0) co_return 1;
  std::vector<task<int>> below;
  below.push_back(tree_of_ranges(depth - 1));
  below.push_back(number(1));
  const auto values = co_await when_all(std::move(below));
  co_return values[0] + values[1];
}

}  // namespace

TEST_CASE("a hundred thousand nested ranges fit in a small stack") {
  const int nodes = on_small_stack(256 << 10, [] {
    manual_loop loop;
    return loop.run(tree_of_ranges(100'000));
  });
  CHECK(nodes == 100'001);
}

namespace {
/// Cancels a task when it goes.
struct canceler {
  explicit canceler(rondo::join_handle<>& h) noexcept : whom(&h) {}
  canceler(canceler&& other) noexcept : whom(std::exchange(other.whom, nullptr)) {}
  canceler& operator=(canceler&&) = delete;
  ~canceler() {
    if (whom != nullptr) whom->cancel();
  }
  rondo::join_handle<>* whom;
};
}  // namespace

TEST_CASE("a cancellation by what a child's end destroys reaches the children after it") {
  rondo::run([]() -> rondo::task<> {
    bool canceled = false;
    rondo::join_handle<> handle;
    const auto ends_at_once = [](canceler) -> rondo::task<> { co_return; };
    const auto looks = [](bool& found) -> rondo::task<> {
      found = co_await rondo::cancellation_requested();
    };
    const auto all = [&]() -> rondo::task<> {
      std::vector<rondo::task<>> children;
      children.push_back(ends_at_once(canceler(handle)));
      children.push_back(looks(canceled));
      co_await rondo::when_all(std::move(children));
    };
    handle = rondo::spawn(all());
    co_await handle.wait();
    CHECK(canceled);
  }());
}
