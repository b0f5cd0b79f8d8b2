// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/when_all.hpp>
#include <rondo/compose/when_any.hpp>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include <rondo/rondo.hpp>

#include "compose/children.hpp"
#include "support/heap.hpp"
#include "support/helpers.hpp"

using rondo::any_result;
using rondo::first_success;
using rondo::operation_canceled;
using rondo::task;
using rondo::unhandled_error;
using rondo::when_all;
using rondo::when_any;
using namespace rondo::test;

namespace {

template <typename... A>
std::vector<task<int>> tasks(A... each) {
  std::vector<task<int>> all;
  (all.push_back(std::move(each)), ...);
  return all;
}
task<int> fails_with_int(int n) {
  throw oops(n);
  co_return 0;
}
task<int> fails_with_int_after(gate& g, int n) {
  co_await g.wait();
  throw oops(n);
}

}  // namespace

// when_any

TASK_TEST(
    "when_any gives a variant at the winner's index, void as monostate, references as wrappers") {
  gate never;
  std::string text = "a";
  const auto refer = [](std::string& t) -> task<std::string&> { co_return t; };
  std::string log;
  auto first = co_await when_any(step(log, 'a', never), refer(text), nothing());
  static_assert(
      std::is_same_v<decltype(first),
                     std::variant<int, std::reference_wrapper<std::string>, std::monostate>>);
  CHECK(first.index() == 1);
  CHECK(&std::get<1>(first).get() == &text);
  auto other = co_await when_any(nothing(), step(log, 'b', never));
  CHECK(other.index() == 0);
}

TASK_TEST("two of one type are told apart by the index") {
  gate never;
  std::string log;
  const auto first = co_await when_any(step(log, 'a', never), number(7));
  CHECK(first.index() == 1);
  CHECK(std::get<1>(first) == 7);
}

TEST_CASE("the losers of when_any are canceled and have ended before the winner is told") {
  manual_loop loop;
  gate a;
  gate b;
  std::string log;
  const auto noting = [](gate& g, std::string& l, char name) -> task<int> {
    try {
      co_await g.wait();
    } catch (const operation_canceled&) {
      l += name;
      throw;
    }
    co_return name;
  };
  const auto body = [&]() -> task<> {
    const auto first = co_await when_any(noting(a, log, 'a'), noting(b, log, 'b'));
    log += first.index() == 1 ? '1' : '0';
  };
  auto run = body();
  manual_loop::root root(loop, std::move(run));
  root.start();
  CHECK(a.waiting() == 1);
  b.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  root.take();
  CHECK(log == "a1");
}

TEST_CASE("a loser is canceled when the winner's end is recorded, not when somebody is resumed") {
  manual_loop loop;
  gate a;
  gate b;
  manual_loop::root root(loop, when_any(a.wait(), b.wait()));
  root.start();
  a.open();  // nobody runs in between
  CHECK(b.waiting() == 0);
  b.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(root.take().index() == 0);
}

TASK_TEST("who is ready at once wins, and those behind are not started") {
  std::string log;
  gate never;
  const auto first = co_await when_any(step(log, 'a', never), number(1), step(log, 'c', never));
  CHECK(first.index() == 1);
  CHECK(log == "a");
}

TASK_TEST("an error wins when_any, and cancels the others") {
  gate never;
  std::string log;
  int caught = 0;
  try {
    static_cast<void>(co_await when_any(step(log, 'a', never), fails(3)));
  } catch (const oops& e) {
    caught = e.number;
  }
  CHECK(caught == 3);
  CHECK(never.waiting() == 0);
}

TEST_CASE("the error of a loser is reported as suppressed, its value is dropped") {
  manual_loop loop;
  gate never;
  gate open;
  manual_loop::root root(loop, when_any(open.wait(), fails_when_canceled(never, 5),
                                        succeeds_when_canceled(never, 6)));
  root.start();
  open.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(root.take().index() == 0);
  REQUIRE(loop.reports.size() == 1);
  CHECK(loop.reports[0].first == unhandled_error::kind::suppressed);
  CHECK(loop.reports[0].second == "oops");
}

TEST_CASE("a canceled when_any cancels all, and throws if none of them still ends") {
  manual_loop loop;
  gate never;
  std::string log;
  manual_loop::root root(loop, when_any(step(log, 'a', never), never.wait()));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
}

TEST_CASE("a canceled when_any gives what still ends with a value") {
  manual_loop loop;
  gate never;
  manual_loop::root root(loop, when_any(never.wait(), succeeds_when_canceled(never, 6)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  auto won = root.take();
  CHECK(won.index() == 1);
  CHECK(std::get<1>(won) == 6);
}

TASK_TEST("when_any over a range gives the index and the value of the winner") {
  gate never;
  std::string log;
  const auto won = co_await when_any(tasks(step(log, 'a', never), number(4), number(5)));
  static_assert(std::is_same_v<decltype(won), const any_result<int>>);
  CHECK(won.index == 1);
  CHECK(won.value == 4);
}

TASK_TEST("when_any over a range of void gives a monostate") {
  std::vector<task<>> all;
  all.push_back(nothing());
  const any_result<void> won = co_await when_any(std::move(all));
  CHECK(won.index == 0);
  CHECK(won.value == std::monostate());
}

TASK_TEST("nobody can win an empty race") {
  bool refused = false;
  try {
    static_cast<void>(co_await when_any(std::vector<task<int>>()));
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  CHECK(refused);
  refused = false;
  try {
    static_cast<void>(co_await first_success(std::vector<task<int>>()));
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  CHECK(refused);
}

TASK_TEST("when_any moves a value, and copies none") {
  counts c;
  const auto make = [](counts& n) -> task<tracked> { co_return tracked(n, 1); };
  gate never;
  {
    auto won = co_await when_any(never.wait(), make(c));
    CHECK(std::get<1>(won).value == 1);
  }
  CHECK(c.copies == 0);
  CHECK(c.alive == 0);
}

TASK_TEST("a race of plain operations allocates nothing") {
  if (!rondo_test::heap_is_counted()) co_return;
  gate open;
  open.open();
  gate never;
  co_await when_any(open.wait(), never.wait());  // what the gates themselves keep is warm
  const auto before = rondo_test::allocations();
  co_await when_any(open.wait(), never.wait());
  CHECK(rondo_test::allocations() == before);
}

// first_success

TASK_TEST("the first value wins, errors before it do not") {
  const auto won = co_await first_success(fails_with_int(1), number(2), number(3));
  CHECK(won.index() == 1);
  CHECK(std::get<1>(won) == 2);
  REQUIRE(loop.reports.size() == 1);
  CHECK(loop.reports[0].first == unhandled_error::kind::suppressed);
}

TEST_CASE("if all fail, the last error in time is thrown and the others are reported") {
  manual_loop loop;
  gate first;
  gate second;
  manual_loop::root root(
      loop, first_success(tasks(fails_with_int_after(first, 1), fails_with_int_after(second, 2),
                                fails_with_int(3))));
  root.start();
  second.open();
  loop.run_until_idle();
  CHECK(!root.done());
  first.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 1);
  CHECK(loop.reports.size() == 2);
}

TEST_CASE("a canceled first_success throws the cancellation, not an error from before it") {
  manual_loop loop;
  gate never;
  std::string log;
  manual_loop::root root(loop, first_success(fails_with_int(1), step(log, 'a', never)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(loop.reports.size() == 1);
}

TEST_CASE("the losers of first_success are canceled") {
  manual_loop loop;
  gate open;
  gate never;
  std::string log;
  manual_loop::root root(loop, first_success(tasks(step(log, 'a', never), step(log, 'b', open))));
  root.start();
  open.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(never.waiting() == 0);
  const auto won = root.take();
  CHECK(won.index == 1);
  CHECK(won.value == 'b');
}

TASK_TEST("races nest, in each other and in when_all") {
  gate never;
  std::string log;
  auto both =
      co_await when_all(when_any(never.wait(), number(1)),
                        when_any(first_success(fails_with_int(1), number(2)), never.wait()));
  CHECK(std::get<1>(std::get<0>(both)) == 1);
  CHECK(std::get<1>(std::get<0>(std::get<1>(both))) == 2);
}

TEST_CASE("an error that somebody has closed away before the race goes on ends it as closed") {
  using namespace rondo;
  run([]() -> task<> {
    broadcast<int> b(1);
    auto subscription = b.subscribe();
    b.send(1);
    b.send(2);  // it lags by one
    const auto close_it = [](broadcast<int>::subscription& s) -> task<> {
      s.close();
      co_return;
    };
    auto closing = spawn(close_it(subscription));
    std::error_code code;
    try {
      static_cast<void>(co_await when_any(sleep_for(std::chrono::hours(1)), subscription.next()));
    } catch (const std::system_error& e) {
      code = e.code();
    }
    CHECK(code == errc::closed);
    co_await closing.wait();
  }());
}
