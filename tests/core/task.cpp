// SPDX-License-Identifier: BSL-1.0

#include <rondo/core/task.hpp>

#include <array>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/heap.hpp"
#include "support/helpers.hpp"

using rondo::task;
using namespace rondo::test;

namespace {

task<> nothing() { co_return; }
task<int> answer() { co_return 42; }
task<int> add(int a, int b) { co_return a + b; }

}  // namespace

// Values

TASK_TEST("awaiting a task gives its value") {
  const int n = co_await answer();
  CHECK(n == 42);
  const int sum = co_await add(1, 2);
  CHECK(sum == 3);
  co_await nothing();
  static_assert(std::is_same_v<rondo::await_result_t<task<int>>, int>);
  static_assert(std::is_void_v<rondo::await_result_t<task<>>>);
}

TASK_TEST("a task gives what can only be moved") {
  const auto make = [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  const auto p = co_await make(7);
  CHECK(*p == 7);
}

TASK_TEST("a task gives a reference to the very object") {
  std::string text = "a";
  const auto refer = [](std::string& t) -> task<std::string&> { co_return t; };
  std::string& same = co_await refer(text);
  CHECK(&same == &text);
  const auto look = [](const std::string& t) -> task<const std::string&> { co_return t; };
  const std::string& seen = co_await look(text);
  CHECK(&seen == &text);
}

TASK_TEST("a task gives what cannot be default-constructed") {
  struct point {
    explicit point(int a) : x(a) {}
    int x;
  };
  const auto make = []() -> task<point> { co_return point(3); };
  const point p = co_await make();
  CHECK(p.x == 3);
}

TASK_TEST("a task gives large values") {
  using large = std::array<int, 4096>;
  const auto make = [](int n) -> task<large> {
    large all{};
    all.fill(n);
    co_return all;
  };
  const large all = co_await make(5);
  CHECK(all.front() == 5);
  CHECK(all.back() == 5);
}

TASK_TEST("co_return converts, and takes braces") {
  const auto text = []() -> task<std::string> { co_return "text"; };
  const auto pair = []() -> task<std::pair<int, std::string>> { co_return {1, "one"}; };
  const auto maybe = []() -> task<std::optional<int>> { co_return std::nullopt; };
  const auto t = co_await text();
  const auto p = co_await pair();
  const auto m = co_await maybe();
  CHECK(t == "text");
  CHECK(p.second == "one");
  CHECK(!m.has_value());
}

TASK_TEST("a value is moved twice and never copied on its way out of a task") {
  counts c;
  const auto make = [](counts& n) -> task<tracked> {
    tracked t(n, 4);
    co_return t;
  };
  {
    const tracked t = co_await make(c);
    CHECK(t.value == 4);
    CHECK(c.alive == 1);
  }
  CHECK(c.alive == 0);
  CHECK(c.copies == 0);
  CHECK(c.moves == 2);
}

// Laziness and lifetimes

TASK_TEST("a task does nothing until it is awaited") {
  int runs = 0;
  const auto run = [](int& n) -> task<> {
    ++n;
    co_return;
  };
  {
    const auto dropped = run(runs);
  }
  CHECK(runs == 0);
  auto kept = run(runs);
  CHECK(runs == 0);
  co_await std::move(kept);
  CHECK(runs == 1);
}

TEST_CASE("destroying a task that was never awaited destroys its arguments") {
  counts c;
  const auto take = [](tracked) -> task<> { co_return; };
  {
    const auto t = take(tracked(c));
    CHECK(c.alive == 1);
  }
  CHECK(c.alive == 0);
  CHECK(c.copies == 0);
}

TASK_TEST("arguments live until the await returns, and no longer") {
  counts c;
  const auto take = [](tracked t, counts& n) -> task<int> { co_return t.value + n.alive * 10; };
  const int seen = co_await take(tracked(c, 3), c);
  CHECK(seen >= 13);
  CHECK(c.alive == 0);
}

TEST_CASE("destroying a sleeping task destroys its locals and arguments, the innermost first") {
  counts c;
  std::vector<int> order;
  struct note {
    std::vector<int>& list;
    int n;
    note(std::vector<int>& l, int i) : list(l), n(i) {}
    note(const note&) = delete;
    note& operator=(const note&) = delete;
    ~note() { list.push_back(n); }
  };
  parked p;
  const auto inner = [](parked& at, std::vector<int>& list, tracked) -> task<> {
    const note here(list, 1);
    co_await at;
  };
  const auto outer = [&inner](parked& at, std::vector<int>& list, tracked t) -> task<> {
    const note here(list, 2);
    co_await inner(at, list, t);
  };
  {
    manual_loop loop;
    manual_loop::root root(loop, outer(p, order, tracked(c)));
    root.start();
    CHECK(!root.done());
    CHECK(c.alive >= 2);
  }
  CHECK(order == std::vector<int>{1, 2});
  CHECK(c.alive == 0);
}

TASK_TEST("a task is moved and assigned like a pointer") {
  counts c;
  const auto give = [](tracked t) -> task<int> { co_return t.value; };
  auto a = give(tracked(c, 1));
  auto b = std::move(a);
  CHECK(!a);
  CHECK(static_cast<bool>(b));
  auto other = give(tracked(c, 2));
  b = std::move(other);
  CHECK(c.alive == 1);
  auto& self = b;
  b = std::move(self);
  CHECK(static_cast<bool>(b));
  auto third = give(tracked(c, 3));
  b.swap(third);
  const int n = co_await std::move(b);
  CHECK(n == 3);
  CHECK(!b);
  static_assert(!std::is_copy_constructible_v<task<int>>);
  static_assert(!std::is_default_constructible_v<task<int>>);
  static_assert(std::is_nothrow_move_constructible_v<task<int>>);
}

// Errors

TASK_TEST("an exception leaves through the await") {
  const auto fail = [](int n) -> task<int> {
    if (n > 0) throw oops(n);
    co_return 0;
  };
  int seen = 0;
  try {
    const int n = co_await fail(3);
    CHECK(n == -1);
  } catch (const oops& e) {
    seen = e.number;
  }
  CHECK(seen == 3);
}

TEST_CASE("an exception that was thrown after a suspension leaves through all awaits") {
  manual_loop loop;
  gate g;
  counts c;
  const auto inner = [](gate& at, tracked) -> task<> {
    co_await at.wait();
    throw oops(9);
  };
  const auto middle = [&inner](gate& at, tracked t) -> task<std::string&> {
    co_await inner(at, t);
    std::terminate();
  };
  const auto outer = [&middle](gate& at, counts& n) -> task<int> {
    try {
      co_await middle(at, tracked(n));
    } catch (const oops& e) {
      co_return e.number;
    }
    co_return 0;
  };
  manual_loop::root root(loop, outer(g, c));
  root.start();
  CHECK(!root.done());
  CHECK(c.alive > 0);
  g.open();
  loop.run_until_idle();
  CHECK(root.done());
  const int n = root.take();
  CHECK(n == 9);
  CHECK(c.alive == 0);
}

TASK_TEST("anything may be thrown") {
  const auto fail = []() -> task<> {
    throw 5;
    co_return;
  };
  int seen = 0;
  try {
    co_await fail();
  } catch (int n) {
    seen = n;
  }
  CHECK(seen == 5);
}

namespace {

struct throws_when_destroyed {
  explicit throws_when_destroyed(bool t) noexcept : armed(t) {}
  ~throws_when_destroyed() noexcept(false) {
    if (armed) throw oops(8);
  }
  bool armed;
};

task<tracked> throws_after_co_return(counts& c) {
  const throws_when_destroyed t(true);
  co_return tracked(c);
}
task<> throws_after_void_co_return() {
  const throws_when_destroyed t(true);
  co_return;
}
task<int&> throws_after_reference_co_return(int& n) {
  const throws_when_destroyed t(true);
  co_return n;
}

}  // namespace

TASK_TEST("when a destructor throws after co_return the value is discarded and the error seen") {
  counts c;
  int seen = 0;
  try {
    const tracked t = co_await throws_after_co_return(c);
    CHECK(t.value == -1);
  } catch (const oops& e) {
    seen += e.number;
  }
  CHECK(c.alive == 0);
  try {
    co_await throws_after_void_co_return();
  } catch (const oops& e) {
    seen += e.number;
  }
  int number = 0;
  try {
    co_await throws_after_reference_co_return(number);
  } catch (const oops& e) {
    seen += e.number;
  }
  CHECK(seen == 24);
}

TASK_TEST("a value whose move throws becomes the error") {
  struct fragile {
    fragile() = default;
    fragile(fragile&&) { throw oops(6); }
  };
  const auto make = []() -> task<fragile> {
    fragile f;
    co_return std::move(f);
  };
  int seen = 0;
  try {
    static_cast<void>(co_await make());
  } catch (const oops& e) {
    seen = e.number;
  }
  CHECK(seen == 6);
}

// Memory

TASK_TEST("awaiting children takes no allocation once the first of their size has ended") {
#if RONDO_FRAME_POOL
  int sum = co_await add(0, 0);
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 1000; ++i) sum += co_await add(i, 1);
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
  CHECK(sum == 500500);
#else
  if (rondo_test::heap_is_counted()) {
    const auto live = rondo_test::live_blocks();
    const auto before = rondo_test::allocations();
    for (int i = 0; i < 1000; ++i) static_cast<void>(co_await add(i, 1));
    const auto during = rondo_test::allocations() - before;
    const auto left = rondo_test::live_blocks() - live;
    CHECK(during <= 1000);
    CHECK(left == 0);
  }
  co_return;
#endif
}

#if RONDO_FRAME_POOL && defined(__GNUC__) && !defined(__clang__)
TEST_CASE("the frame of a task<int> without arguments fits in 64 bytes") {
  // Nothing but a block of 49 to 64 bytes, or a smaller one, can serve the next such frame.
  { const auto warm = answer(); }
  std::vector<void*> taken;
  for (std::size_t index = 0; index <= 64 / rondo::detail::frame_cache::granule; ++index) {
    while (auto* block = rondo::detail::frames.free[index]) {
      rondo::detail::frames.free[index] = block->next;
      rondo::detail::frames.kept -= rondo::detail::frame_cache::block_size(index);
      taken.push_back(block);
    }
  }
  const auto before = rondo_test::allocations();
  { const auto fresh = answer(); }
  const auto during = rondo_test::allocations() - before;
  bool small = false;
  for (std::size_t index = 0; index <= 64 / rondo::detail::frame_cache::granule; ++index) {
    small = small || rondo::detail::frames.free[index] != nullptr;
  }
  for (void* block : taken) ::operator delete(block);
  CHECK(during == 1);
  CHECK(small);
}
#endif

TEST_CASE("nothing is left of a task: of one that ended, one that failed, one never awaited") {
  const auto fail = []() -> task<> {
    throw oops(1);
    co_return;
  };
  const auto work = [&fail](manual_loop& loop) {
    static_cast<void>(loop.run(answer()));
    { const auto dropped = answer(); }
    try {
      loop.run(fail());
    } catch (const oops&) {
    }
  };
  manual_loop loop;
  work(loop);
  const auto live = rondo_test::live_blocks();
  for (int i = 0; i < 100; ++i) work(loop);
  const auto left = rondo_test::live_blocks() - live;
  CHECK(left == 0);
}

// Depth

namespace {

constexpr int million = 1'000'000;

task<> awaits_a_million_times(long& sum) {
  for (int i = 0; i < million; ++i) sum += co_await add(i, 0);
}

task<long> awaits_itself(int depth) {
  if (depth == 0) co_return 0;
  const long below = co_await awaits_itself(depth - 1);
  co_return below + 1;
}

task<long> awaits_itself_and_waits(int depth, gate& g) {
  if (depth == 0) {
    co_await g.wait();
    co_return 0;
  }
  const long below = co_await awaits_itself_and_waits(depth - 1, g);
  co_return below + 1;
}

task<> fails_below(int depth, gate& g) {
  if (depth == 0) {
    co_await g.wait();
    throw oops(1);
  }
  co_await fails_below(depth - 1, g);
}

}  // namespace

TEST_CASE("a million awaits that end at once do not grow the stack") {
  const long sum = on_small_stack(256 << 10, [] {
    manual_loop loop;
    long n = 0;
    loop.run(awaits_a_million_times(n));
    return n;
  });
  CHECK(sum == 499'999'500'000);
}

TEST_CASE("a chain of a million tasks that end at once fits in a small stack") {
  const long depth = on_small_stack(256 << 10, [] {
    manual_loop loop;
    return loop.run(awaits_itself(million));
  });
  CHECK(depth == million);
}

TEST_CASE("a chain of a million sleeping tasks unwinds in a small stack") {
  const long depth = on_small_stack(256 << 10, [] {
    manual_loop loop;
    gate g;
    manual_loop::root root(loop, awaits_itself_and_waits(million, g));
    root.start();
    if (root.done() || g.waiting() != 1) return -1L;
    g.open();
    loop.run_until_idle();
    return root.done() ? root.take() : -2L;
  });
  CHECK(depth == million);
}

TEST_CASE("a cancellation unwinds a chain of a hundred thousand tasks in a small stack") {
  const int how = on_small_stack(256 << 10, [] {
    manual_loop loop;
    gate g;
    manual_loop::root root(loop, awaits_itself_and_waits(million / 10, g));
    root.start();
    root.line.cancel();
    loop.run_until_idle();
    if (!root.done()) return 1;
    try {
      static_cast<void>(root.take());
    } catch (const rondo::operation_canceled&) {
      return 2;
    }
    return 3;
  });
  CHECK(how == 2);
}

TEST_CASE("an error unwinds a chain of a hundred thousand tasks in a small stack") {
  const int seen = on_small_stack(256 << 10, [] {
    manual_loop loop;
    gate g;
    manual_loop::root root(loop, fails_below(million / 10, g));
    root.start();
    g.open();
    loop.run_until_idle();
    try {
      root.take();
    } catch (const oops& e) {
      return e.number;
    }
    return 0;
  });
  CHECK(seen == 1);
}

// What GCC 12.2 gets right (see must_abort for what it does not)

namespace {

task<bool> yes() { co_return true; }

task<int> condition_in_a_variable() {
  const bool c = co_await yes();
  if (c) co_return 1;
  co_return 0;
}
task<int> variable_in_the_condition() {
  if (const bool c = co_await yes()) co_return c ? 1 : 2;
  co_return 0;
}
task<int> choice() { co_return co_await yes() ? 1 : 0; }
task<int> loop_over_a_range() {
  int n = 0;
  for (int i : {1, 2, 3}) n += i * (co_await answer());
  co_return n;
}

}  // namespace

TASK_TEST("the spellings of a condition that all compilers get right") {
  const int a = co_await condition_in_a_variable();
  const int b = co_await variable_in_the_condition();
  const int c = co_await choice();
  const int d = co_await loop_over_a_range();
  CHECK(a == 1);
  CHECK(b == 1);
  CHECK(c == 1);
  CHECK(d == 252);
}
