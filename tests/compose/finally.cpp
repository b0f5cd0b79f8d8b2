// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/finally.hpp>

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/task_group.hpp>
#include <rondo/compose/when_all.hpp>

#include "compose/children.hpp"
#include "support/helpers.hpp"

using rondo::child;
using rondo::finally;
using rondo::operation_canceled;
using rondo::task;
using rondo::task_group;
using rondo::unhandled_error;
using namespace rondo::test;

namespace {

/// Takes a while to clean up.
task<> cleans_up(std::string& log) {
  log += '(';
  co_await rondo::checkpoint();
  log += ')';
}
task<> cleans_up_badly(std::string& log, int n) {
  co_await cleans_up(log);
  throw oops(n);
}
task<> fails_while_canceled(gate& g) {
  co_await g.wait();
  throw oops(1);
}

}  // namespace

// What it gives

TASK_TEST("finally gives what its body gives: values, references, what is moved, nothing") {
  std::string log;
  int there = 4;
  const auto refer = [](int& n) -> task<int&> { co_return n; };
  const auto make = [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  const int value = co_await finally(number(3), cleans_up(log));
  int& same = co_await finally(refer(there), cleans_up(log));
  const auto owner = co_await finally(make(5), cleans_up(log));
  co_await finally(nothing(), cleans_up(log));
  static_assert(std::is_same_v<decltype(finally(refer(there), nothing())), task<int&>>);
  CHECK(value == 3);
  CHECK(&same == &there);
  CHECK(*owner == 5);
  CHECK(log == "()()()()");
}

TASK_TEST("the value is kept while the cleanup runs, and neither copied nor lost") {
  counts c;
  const auto body = [](counts& n) -> task<tracked> { co_return tracked(n, 7); };
  const auto cleanup = [](counts& n, int& alive) -> task<> {
    co_await rondo::checkpoint();
    alive = n.alive;
  };
  int alive = 0;
  {
    const tracked value = co_await finally(body(c), cleanup(c, alive));
    CHECK(value.value == 7);
  }
  CHECK(alive >= 1);
  CHECK(c.copies == 0);
  CHECK(c.alive == 0);
}

// What the cleanup may be

TASK_TEST("the cleanup begins when the body has ended, and has ended when finally returns") {
  std::string log;
  const auto body = [](std::string& l) -> task<> {
    l += '<';
    co_await rondo::checkpoint();
    l += '>';
  };
  co_await finally(body(log), cleans_up(log));
  log += '.';
  CHECK(log == "<>().");
}

TASK_TEST("the cleanup may be a plain function, with or without arguments") {
  std::string log;
  const auto note = [&log] { log += 'a'; };
  co_await finally(nothing(), note);
  co_await finally(nothing(), [](std::string& l, char name) { l += name; }, std::ref(log), 'b');
  co_await finally(nothing(), &std::string::clear, &log);
  CHECK(log.empty());
  co_await finally(nothing(), note);
  CHECK(log == "a");
}

TASK_TEST("the cleanup may be a function that gives a task, and its arguments are copied and kept") {
  std::string log;
  const auto note = [](std::string& l, std::string text, std::unique_ptr<int> n) -> task<> {
    co_await rondo::checkpoint();
    l += text + std::to_string(*n);
  };
  std::string text = "kept";
  auto work = finally(number(1), note, std::ref(log), text, std::make_unique<int>(8));
  text = "changed";
  const int value = co_await std::move(work);
  CHECK(value == 1);
  CHECK(log == "kept8");
}

TASK_TEST("the cleanup is not called before the body has ended") {
  std::string log;
  const auto called = [&log]() -> task<> {
    log += 'c';  // a plain function that makes a task
    return cleans_up(log);
  };
  const auto body = [&log]() -> task<> {
    co_await rondo::checkpoint();
    log += 'b';
  };
  co_await finally(body(), called);
  CHECK(log == "bc()");
}

TASK_TEST("a body that is awaited by name stays there") {
  std::string log;
  const auto body = [&log](task_group& group) -> task<> {
    child<int> c = group.spawn(number(6));
    int& first = co_await finally(c, cleans_up(log));
    int& again = co_await c;
    CHECK(&first == &again);
    CHECK(first == 6);
    parked p;
    const auto resume = [](parked& there) -> task<> {
      there.value = 9;
      there.resume();
      co_return;
    };
    const auto both = co_await rondo::when_all(finally(p, cleans_up(log)), resume(p));
    CHECK(std::get<0>(both) == 9);
  };
  co_await rondo::with_task_group(body);
  CHECK(log == "()()");
}

// Errors

TASK_TEST("an error of the body is thrown when the cleanup has ended") {
  std::string log;
  int caught = 0;
  try {
    co_await finally(fails(5), cleans_up(log));
  } catch (const oops& e) {
    log += '!';
    caught = e.number;
  }
  CHECK(caught == 5);
  CHECK(log == "()!");
  CHECK(loop.reports.empty());
}

TASK_TEST("an error of the cleanup is thrown if the body gave a value") {
  std::string log;
  int caught = 0;
  try {
    static_cast<void>(co_await finally(number(1), cleans_up_badly(log, 6)));
  } catch (const oops& e) {
    caught = e.number;
  }
  CHECK(caught == 6);
  const auto throws = [](int n) { throw oops(n); };
  try {
    co_await finally(nothing(), throws, 7);
  } catch (const oops& e) {
    caught = e.number;
  }
  CHECK(caught == 7);
  CHECK(loop.reports.empty());
}

TASK_TEST("of two errors the body's is thrown, and the cleanup's is reported as suppressed") {
  std::string log;
  int caught = 0;
  try {
    co_await finally(fails(5), cleans_up_badly(log, 6));
  } catch (const oops& e) {
    caught = e.number;
  }
  CHECK(caught == 5);
  CHECK(log == "()");
  REQUIRE(loop.reports.size() == 1);
  CHECK(loop.reports[0].first == unhandled_error::kind::suppressed);
  CHECK(loop.reports[0].second == "oops");
}

TASK_TEST("an operation_canceled that nobody asked for is an error of the body like any other") {
  std::string log;
  const auto throws = []() -> task<> {
    throw operation_canceled();
    co_return;
  };
  bool thrown = false;
  try {
    co_await finally(throws(), cleans_up_badly(log, 6));
  } catch (const operation_canceled&) {
    thrown = true;
  }
  CHECK(thrown);
  REQUIRE(loop.reports.size() == 1);  // so the cleanup's error is the one that is suppressed
}

// Cancellation

TEST_CASE("a cancellation ends the body, not the cleanup, and goes on") {
  manual_loop loop;
  gate never;
  std::string log;
  manual_loop::root root(loop, finally(step(log, 'a', never), cleans_up(log)));
  root.start();
  loop.run_until_idle();
  CHECK(log == "a");
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "a()");
}

TEST_CASE("a cleanup that is a function gives its task into the same shelter") {
  manual_loop loop;
  gate never;
  std::string log;
  manual_loop::root root(loop, finally(step(log, 'a', never), cleans_up, std::ref(log)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "a()");
}

TEST_CASE("a cancellation that comes during the cleanup is felt after it") {
  manual_loop loop;
  gate open;
  std::string log;
  const auto body = [&]() -> task<> {
    const int value = co_await finally(number(3), open.wait());
    log += std::to_string(value);
    co_await rondo::checkpoint();
    log += "not here";
  };
  manual_loop::root root(loop, body());
  root.start();
  loop.run_until_idle();
  root.line.cancel();
  loop.run_until_idle();
  CHECK(!root.done());
  CHECK(open.waiting() == 1);
  open.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "3");  // the body's value is not lost
}

TEST_CASE("a task that is canceled before it starts runs its cleanups all the same") {
  manual_loop loop;
  gate never;
  std::string log;
  manual_loop::root root(loop, finally(step(log, 'a', never), cleans_up(log)));
  root.line.cancel();
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "a()");
}

TEST_CASE("after a cancellation an error of the cleanup is thrown") {
  manual_loop loop;
  gate never;
  std::string log;
  manual_loop::root root(loop, finally(step(log, 'a', never), cleans_up_badly(log, 6)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 6);
  CHECK(log == "a()");
  CHECK(loop.reports.empty());
}

TEST_CASE("a body that answers its cancellation with an error, and a cleanup that fails, too") {
  manual_loop loop;
  gate never;
  std::string log;
  manual_loop::root root(loop, finally(fails_when_canceled(never, 5), cleans_up_badly(log, 6)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 5);
  REQUIRE(loop.reports.size() == 1);
  CHECK(loop.reports[0].first == unhandled_error::kind::suppressed);
}

TEST_CASE("a body that answers its cancellation with a value gives it") {
  manual_loop loop;
  gate never;
  std::string log;
  manual_loop::root root(loop, finally(succeeds_when_canceled(never, 4), cleans_up(log)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(root.take() == 4);
  CHECK(log == "()");
}

TEST_CASE("cleanups nest: the inner one first") {
  manual_loop loop;
  gate never;
  std::string log;
  const auto note = [](std::string& l, char name) -> task<> {
    co_await rondo::checkpoint();
    l += name;
  };
  manual_loop::root root(
      loop, finally(finally(fails_while_canceled(never), note(log, '1')), note(log, '2')));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "12");
}

TEST_CASE("a finally that is never awaited runs neither, and destroys both") {
  counts c;
  std::string log;
  const auto body = [](std::string& l, tracked) -> task<> {
    l += 'b';
    co_return;
  };
  const auto cleanup = [](std::string& l, const tracked&) { l += 'c'; };
  {
    const tracked argument(c);
    static_cast<void>(finally(body(log, argument), cleanup, std::ref(log), argument));
  }
  CHECK(log.empty());
  CHECK(c.alive == 0);
}
