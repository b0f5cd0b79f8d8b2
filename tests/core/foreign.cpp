// SPDX-License-Identifier: BSL-1.0

#include <rondo/core/foreign.hpp>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <rondo/compose/when_all.hpp>
#include <rondo/loop/event_loop.hpp>

#include "support/heap.hpp"
#include "support/helpers.hpp"

using rondo::task;
using rondo::when_all;
using namespace rondo::test;

namespace {

/// Awaited through a free operator co_await.
struct by_free_operator {
  int value;
};
ready_awaiter operator co_await(const by_free_operator& a) { return {a.value}; }

/// Tells the value category in which it was awaited.
struct by_category {
  ready_awaiter operator co_await() & { return {1}; }
  ready_awaiter operator co_await() const& { return {2}; }
  ready_awaiter operator co_await() && { return {3}; }
};

struct thrower {
  enum class where { ready, suspend, resume } at;
  bool await_ready() const {
    if (at == where::ready) throw oops(1);
    return false;
  }
  void await_suspend(std::coroutine_handle<> h) const {
    if (at == where::suspend) throw oops(2);
    h.resume();
  }
  void await_resume() const {
    if (at == where::resume) throw oops(3);
  }
};

/// What a task type of another library looks like to its awaiter: the value as an rvalue.
struct gives_rvalue {
  explicit gives_rvalue(int n) : value(std::make_unique<int>(n)) {}
  std::unique_ptr<int> value;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  std::unique_ptr<int>&& await_resume() noexcept { return std::move(value); }
};

struct gives_reference {
  std::string* text;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  std::string& await_resume() const noexcept { return *text; }
};

/// Suspends by the two other forms of await_suspend.
struct changes_its_mind {
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<>) const noexcept { return false; }
  int await_resume() const noexcept { return 11; }
};
struct transfers_back {
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> h) const noexcept { return h; }
  int await_resume() const noexcept { return 12; }
};

/// Looks at the promise of whoever awaits it, as some libraries do.
struct wants_a_promise {
  bool await_ready() const noexcept { return false; }
  template <typename Promise>
  bool await_suspend(std::coroutine_handle<Promise> h) const noexcept {
    static_assert(!std::is_void_v<Promise>);
    return static_cast<void>(h.promise()), false;
  }
  void await_resume() const noexcept {}
};

}  // namespace

static_assert(rondo::awaitable<ready_awaiter> && rondo::awaitable<ready_awaiter&>);
static_assert(rondo::awaitable<by_free_operator> && rondo::awaitable<const by_category&>);
static_assert(rondo::awaitable<inline_awaiter&> && rondo::awaitable<std::suspend_never>);
static_assert(!rondo::awaitable<int> && !rondo::awaitable<std::string>);

TASK_TEST("awaiters of other libraries can be awaited, as lvalue and as rvalue") {
  const int a = co_await ready_awaiter{1};
  ready_awaiter kept{2};
  const int b = co_await kept;
  const int c = co_await std::as_const(kept);
  CHECK(a == 1);
  CHECK(b == 2);
  CHECK(c == 2);
}

TASK_TEST("a member operator co_await is called in the value category that was awaited") {
  by_category x;
  const int lvalue = co_await x;
  const int constant = co_await std::as_const(x);
  const int rvalue = co_await by_category();
  CHECK(lvalue == 1);
  CHECK(constant == 2);
  CHECK(rvalue == 3);
}

TASK_TEST("a free operator co_await is found") {
  const int a = co_await by_free_operator{4};
  const by_free_operator kept{5};
  const int b = co_await kept;
  CHECK(a == 4);
  CHECK(b == 5);
}

TASK_TEST("an awaiter that cannot move is awaited where it is") {
  const int a = co_await inline_awaiter(6);
  inline_awaiter kept(7);
  const int b = co_await kept;
  CHECK(a == 6);
  CHECK(b == 7);
}

TASK_TEST("a foreign await gives references and rvalues") {
  std::string text = "a";
  std::string& same = co_await gives_reference{&text};
  CHECK(&same == &text);
  const std::unique_ptr<int> p = co_await gives_rvalue(8);
  CHECK(*p == 8);
}

TASK_TEST("every form of await_suspend works") {
  const int a = co_await changes_its_mind();
  const int b = co_await transfers_back();
  co_await wants_a_promise();
  co_await std::suspend_never();
  CHECK(a == 11);
  CHECK(b == 12);
}

TASK_TEST("what a foreign awaitable throws leaves through the await") {
  int seen = 0;
  for (const auto at : {thrower::where::ready, thrower::where::suspend, thrower::where::resume}) {
    try {
      co_await thrower{at};
    } catch (const oops& e) {
      seen = seen * 10 + e.number;
    }
  }
  CHECK(seen == 123);
}

TEST_CASE("a task sleeps until the foreign awaitable resumes it") {
  manual_loop loop;
  parked p;
  const auto work = [](parked& at) -> task<int> { co_return co_await at; };
  manual_loop::root root(loop, work(p));
  root.start();
  CHECK(!root.done());
  CHECK(!loop.has_ready());
  p.value = 5;
  p.resume();
  CHECK(!root.done());  // it goes on in a turn of the loop
  loop.run_until_idle();
  REQUIRE(root.done());
  const int n = root.take();
  CHECK(n == 5);
}

TEST_CASE("a canceled task that waits for a foreign awaitable waits until that ends by itself") {
  manual_loop loop;
  parked p;
  gate g;
  const auto work = [](parked& at, gate& next) -> task<> {
    const int n = co_await at;
    CHECK(n == 5);
    co_await next.wait();
  };
  manual_loop::root root(loop, work(p, g));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  CHECK(!root.done());
  p.value = 5;
  p.resume();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK_THROWS_AS(root.take(), rondo::operation_canceled);
}

TEST_CASE("a foreign awaitable in a combinator is moved in, and destroyed with it") {
  struct holds {
    explicit holds(tracked&& t_) noexcept : t(std::move(t_)) {}
    tracked t;
    bool await_ready() const noexcept { return true; }
    void await_suspend(std::coroutine_handle<>) const noexcept {}
    int await_resume() const noexcept { return t.value; }
  };
  counts c;
  {
    manual_loop loop;
    parked p;
    p.value = 3;
    inline_awaiter fixed(2);
    auto all = when_all(holds(tracked(c, 1)), fixed, p, by_free_operator{4});
    manual_loop::root root(loop, std::move(all));
    root.start();
    CHECK(!root.done());
    p.resume();
    loop.run_until_idle();
    REQUIRE(root.done());
    const auto values = root.take();
    CHECK(values == std::tuple(1, 2, 3, 4));
    CHECK(c.copies == 0);
  }
  CHECK(c.alive == 0);
}

TASK_TEST("a foreign error in a combinator cancels the other children") {
  gate g;
  int seen = 0;
  try {
    co_await when_all(g.wait(), thrower{thrower::where::resume});
  } catch (const oops& e) {
    seen = e.number;
  }
  CHECK(seen == 3);
  CHECK(g.waiting() == 0);
}

TASK_TEST("a foreign awaitable costs one allocation") {
  const auto before = rondo_test::allocations();
  const int n = co_await ready_awaiter{1};
  const auto during = rondo_test::allocations() - before;
  CHECK(n == 1);
  CHECK(during <= 1);
}

TEST_CASE("a million foreign awaits that end at once do not grow the stack") {
  const long sum = on_small_stack(256 << 10, [] {
    manual_loop loop;
    long n = 0;
    const auto work = [](long& s) -> task<> {
      for (int i = 0; i < 1'000'000; ++i) s += co_await inline_awaiter(1);
    };
    loop.run(work(n));
    return n;
  });
  CHECK(sum == 1'000'000);
}

TEST_CASE("whatever thread a foreign awaitable resumes on, the task goes on on its loop") {
  rondo::event_loop loop;
  const auto work = []() -> task<int> {
    const auto mine = std::this_thread::get_id();
    int wrong = 0;
    for (int i = 0; i < 100; ++i) {
      const auto resumed_on = co_await other_thread();
      if (resumed_on == mine) ++wrong;
      if (std::this_thread::get_id() != mine) ++wrong;
      if (&rondo::event_loop::current() != rondo::detail::running_loop) ++wrong;
    }
    co_return wrong;
  };
  const int wrong = loop.run(work());
  CHECK(wrong == 0);
}

TEST_CASE("foreign awaitables on several threads at once end in one combinator") {
  rondo::event_loop loop;
  const auto work = []() -> task<int> {
    const auto mine = std::this_thread::get_id();
    int wrong = 0;
    for (int i = 0; i < 20; ++i) {
      const auto ids = co_await when_all(other_thread(), other_thread(), other_thread());
      if (std::get<0>(ids) == mine || std::get<1>(ids) == mine || std::get<2>(ids) == mine) ++wrong;
      if (std::this_thread::get_id() != mine) ++wrong;
    }
    co_return wrong;
  };
  const int wrong = loop.run(work());
  CHECK(wrong == 0);
}
