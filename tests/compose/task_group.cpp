// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/task_group.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/when_all.hpp>

#include "compose/children.hpp"
#include "support/helpers.hpp"

using rondo::child;
using rondo::operation_canceled;
using rondo::task;
using rondo::task_group;
using rondo::unhandled_error;
using rondo::with_task_group;
using namespace rondo::test;

TASK_TEST("with_task_group gives what its body gives") {
  const auto body = [](task_group&, int n) -> task<std::unique_ptr<int>> {
    co_return std::make_unique<int>(n);
  };
  const auto value = co_await with_task_group(body, 3);
  CHECK(*value == 3);
}

TEST_CASE("with_task_group returns when the body and every child have ended") {
  manual_loop loop;
  gate a;
  gate b;
  std::string log;
  const auto body = [&](task_group& group) -> task<> {
    group.spawn(step(log, 'a', a));
    group.spawn(step(log, 'b', b));
    CHECK(group.size() == 2);
    log += '.';
    co_return;
  };
  manual_loop::root root(loop, with_task_group(body));
  root.start();
  CHECK(log == ".");  // children start on the next turn
  loop.run_until_idle();
  CHECK(log == ".ab");
  b.open();
  loop.run_until_idle();
  CHECK(!root.done());
  a.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  root.take();
  CHECK(log == ".abBA");
}

TEST_CASE("the first error cancels the body and the other children, and is thrown at the end") {
  manual_loop loop;
  gate never;
  gate open;
  std::string log;
  const auto body = [&](task_group& group) -> task<> {
    group.spawn(step(log, 'a', never));
    group.spawn(fails_after(open, 4));
    group.spawn(fails_when_canceled(never, 5));
    try {
      co_await never.wait();
    } catch (const operation_canceled&) {
      log += "body";
      throw;
    }
  };
  manual_loop::root root(loop, with_task_group(body));
  root.start();
  loop.run_until_idle();
  open.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 4);
  CHECK(log == "abody");
  REQUIRE(loop.reports.size() == 1);
  CHECK(loop.reports[0].first == unhandled_error::kind::suppressed);
}

TEST_CASE("an error of the body cancels the children, and those that have not begun never begin") {
  manual_loop loop;
  gate never;
  std::string log;
  const auto body = [&](task_group& group) -> task<> {
    group.spawn(step(log, 'a', never));
    throw oops(6);
    co_return;
  };
  manual_loop::root root(loop, with_task_group(body));
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 6);
  CHECK(log.empty());
}

TEST_CASE("a group that cancels itself starts those who have not begun, canceled") {
  manual_loop loop;
  gate never;
  std::string log;
  const auto child = [&](char name) -> task<> {
    log += name;
    try {
      co_await never.wait();
    } catch (const operation_canceled&) {
      log += '!';
      throw;
    }
  };
  const auto body = [&](task_group& group) -> task<> {
    group.spawn(child('a'));
    group.cancel();
    group.spawn(child('b'));
    co_return;
  };
  manual_loop::root root(loop, with_task_group(body));
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  root.take();
  CHECK(log == "ab!!");
}

TEST_CASE("an error in a group that cancels itself keeps those who have not begun from starting") {
  manual_loop loop;
  std::string log;
  const auto child = [&log]() -> task<> {
    log += 'a';
    co_return;
  };
  const auto body = [&](task_group& group) -> task<> {
    group.spawn(child());
    group.cancel();
    throw oops(6);
    co_return;
  };
  manual_loop::root root(loop, with_task_group(body));
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 6);
  CHECK(log.empty());
}

TASK_TEST(
    "a child gives a reference to its value, inside the group and after it, again and again") {
  child<std::string> kept;
  const auto body = [&](task_group& group) -> task<std::size_t> {
    const auto text = []() -> task<std::string> { co_return "text"; };
    child<std::string> c = group.spawn(text());
    std::string& value = co_await c;
    value += '!';
    std::string& again = co_await c;
    CHECK(&again == &value);
    kept = std::move(c);
    co_return again.size();
  };
  const std::size_t size = co_await with_task_group(body);
  CHECK(size == 5);
  CHECK(kept.done());
  CHECK(kept.value() == "text!");
  const std::string& late = co_await kept;
  CHECK(late == "text!");
}

TASK_TEST("an error that a body has awaited is one error") {
  int caught = 0;
  const auto body = [](task_group& group) -> task<> {
    auto c = group.spawn(fails(7));
    co_await c;
  };
  try {
    co_await with_task_group(body);
  } catch (const oops& e) {
    caught = e.number;
  }
  CHECK(caught == 7);
  CHECK(loop.reports.empty());
}

TASK_TEST("a child that is canceled alone is no error of the group") {
  gate never;
  bool told = false;
  const auto body = [&](task_group& group) -> task<int> {
    auto c = group.spawn(never.wait_in_a_task());
    co_await rondo::checkpoint();
    c.cancel();
    try {
      co_await c;
    } catch (const operation_canceled&) {
      told = true;
    }
    co_return 5;
  };
  const int value = co_await with_task_group(body);
  CHECK(value == 5);
  CHECK(told);
}

TASK_TEST("cancel ends the children and the body, and a body of void then returns") {
  gate never;
  const auto body = [&](task_group& group) -> task<> {
    group.spawn(never.wait_in_a_task());
    co_await rondo::checkpoint();
    group.cancel();
    co_await never.wait();
    FAIL("the body was canceled as well");
  };
  co_await with_task_group(body);
  CHECK(never.waiting() == 0);
}

TASK_TEST("cancel loses no value that the body still gives, and without one it throws") {
  gate never;
  const auto gives = [](task_group& group) -> task<int> {
    group.cancel();
    co_return 8;
  };
  const auto waits = [](task_group& group, gate& g) -> task<int> {
    group.cancel();
    co_await g.wait();
    co_return 8;
  };
  const int value = co_await with_task_group(gives);
  CHECK(value == 8);
  bool canceled = false;
  try {
    static_cast<void>(co_await with_task_group(waits, std::ref(never)));
  } catch (const operation_canceled&) {
    canceled = true;
  }
  CHECK(canceled);
}

TASK_TEST("join waits for all children, those that are spawned meanwhile included") {
  std::string log;
  const auto body = [&](task_group& group) -> task<> {
    const auto second = [&log]() -> task<> {
      log += "2";
      co_return;
    };
    const auto first = [&log, &second](task_group& g) -> task<> {
      co_await rondo::checkpoint();
      g.spawn(second());
      log += "1";
    };
    group.spawn(first(group));
    co_await group.join();
    log += "j";
    co_await group.join();
    CHECK(group.size() == 0);
    log += "j";
  };
  co_await with_task_group(body);
  CHECK(log == "12jj");
}

TEST_CASE("a canceled group cancels all, and throws") {
  manual_loop loop;
  gate never;
  const auto body = [&](task_group& group) -> task<int> {
    group.spawn(never.wait_in_a_task());
    co_return 1;
  };
  manual_loop::root root(loop, with_task_group(body));
  root.start();
  loop.run_until_idle();
  CHECK(never.waiting() == 1);
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
}

TEST_CASE("a canceled group gives the body's value if every child still succeeds") {
  manual_loop loop;
  gate never;
  const auto body = [&](task_group& group) -> task<int> {
    group.spawn(succeeds_when_canceled(never, 1));
    co_return 1;
  };
  manual_loop::root root(loop, with_task_group(body));
  root.start();
  loop.run_until_idle();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(root.take() == 1);
}

TASK_TEST("spawn keeps a callable and its arguments") {
  std::string seen;
  const auto body = [&seen](task_group& group) -> task<> {
    std::string local = "kept";
    auto named = group.spawn(rondo::spawn_options{"worker"},
                             [&seen](std::string text) -> task<int> {
                               co_await rondo::checkpoint();
                               seen = text;
                               co_return 1;
                             },
                             local);
    local = "changed";
    CHECK(named.name() == "worker");
    int& one = co_await named;
    CHECK(one == 1);
  };
  co_await with_task_group(body);
  CHECK(seen == "kept");
}

TASK_TEST("the arguments of children are gone when the group is") {
  std::string log;
  struct says_goodbye {
    std::string* log;
    explicit says_goodbye(std::string& l) noexcept : log(&l) {}
    says_goodbye(says_goodbye&& other) noexcept : log(std::exchange(other.log, nullptr)) {}
    ~says_goodbye() {
      if (log != nullptr) *log += "bye ";
    }
  };
  const auto work = [](says_goodbye) -> task<> { co_await rondo::checkpoint(); };
  const auto body = [&](task_group& group) -> task<> {
    group.spawn(work(says_goodbye(log)));
    co_return;
  };
  co_await with_task_group(body);
  log += "end";
  CHECK(log == "bye end");
}

TASK_TEST("errors tells what has failed so far") {
  std::size_t seen = 0;
  const auto body = [&](task_group& group) -> task<> {
    group.spawn(fails(1));
    try {
      co_await rondo::checkpoint();
      co_await rondo::checkpoint();
    } catch (const operation_canceled&) {
      seen = group.errors().size();
      throw;
    }
  };
  int caught = 0;
  try {
    co_await with_task_group(body);
  } catch (const oops& e) {
    caught = e.number;
  }
  CHECK(caught == 1);
  CHECK(seen == 1);
}

TASK_TEST("empty handles say so") {
  child<int> none;
  CHECK(none.done());
  CHECK(none.name().empty());
  none.cancel();
  CHECK_THROWS_AS(none.value(), std::logic_error);
  const auto body = [](task_group& group) -> task<> {
    auto c = group.spawn(number(1));
    CHECK_THROWS_AS(c.value(), std::logic_error);  // not done
    co_await c;
    CHECK(c.value() == 1);
  };
  co_await with_task_group(body);
}

TASK_TEST("groups nest, in each other and in combinators") {
  const auto inner = [](task_group& group, int n) -> task<int> {
    auto a = group.spawn(number(n));
    int& value = co_await a;
    co_return value;
  };
  const auto outer = [&](task_group& group) -> task<int> {
    auto [a, b] = co_await rondo::when_all(with_task_group(inner, 1), with_task_group(inner, 2));
    group.spawn(nothing());
    co_return a + b;
  };
  const int sum = co_await with_task_group(outer);
  CHECK(sum == 3);
}

TASK_TEST("of a child that is given away the value is taken") {
  const auto body = [](task_group& group) -> task<> {
    const auto owned = [](int n) -> task<std::unique_ptr<int>> {
      co_return std::make_unique<int>(n);
    };
    auto&& one = co_await group.spawn(owned(1));
    static_assert(std::is_same_v<decltype(one), std::unique_ptr<int>&&>);
    CHECK(*one == 1);
    const auto [a, b] = co_await rondo::when_all(group.spawn(owned(2)), group.spawn(owned(3)));
    CHECK(*a + *b == 5);
    std::vector<child<std::unique_ptr<int>>> some;
    some.push_back(group.spawn(owned(4)));
    some.push_back(group.spawn(owned(5)));
    const auto all = co_await rondo::when_all(std::move(some));
    CHECK(*all[0] + *all[1] == 9);
    auto named = group.spawn(owned(6));
    const auto six = co_await std::move(named);
    CHECK(*six == 6);
    CHECK_THROWS_AS(named.value(), std::logic_error);
  };
  co_await with_task_group(body);
}
