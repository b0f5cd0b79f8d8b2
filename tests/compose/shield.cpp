// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/shield.hpp>

#include <memory>
#include <string>
#include <utility>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/when_all.hpp>
#include <rondo/compose/when_any.hpp>

#include "compose/children.hpp"
#include "support/helpers.hpp"

using rondo::operation_canceled;
using rondo::shield;
using rondo::task;
using rondo::when_all;
using rondo::when_any;
using namespace rondo::test;

TASK_TEST("shield gives what it surrounds: values, references, what can only be moved, nothing") {
  int there = 4;
  const auto refer = [](int& n) -> task<int&> { co_return n; };
  const auto make = [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  const int value = co_await shield(number(3));
  int& same = co_await shield(refer(there));
  const auto owner = co_await shield(make(5));
  co_await shield(nothing());
  const int foreign = co_await shield(ready_awaiter{6});
  CHECK(value == 3);
  CHECK(&same == &there);
  CHECK(*owner == 5);
  CHECK(foreign == 6);
}

TEST_CASE("a shielded wait goes on when its task is canceled, and its value is delivered") {
  manual_loop loop;
  gate open;
  std::string log;
  const auto body = [&]() -> task<> {
    const int name = co_await shield(step(log, 'a', open));
    log += static_cast<char>(name);
    try {
      co_await rondo::checkpoint();
    } catch (const operation_canceled&) {
      log += '!';
      throw;
    }
  };
  manual_loop::root root(loop, body());
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  CHECK(log == "a");
  CHECK(open.waiting() == 1);
  open.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "aAa!");  // the next operation feels it
}

TEST_CASE("the error of what is shielded is delivered to a canceled task") {
  manual_loop loop;
  gate open;
  manual_loop::root root(loop, shield(fails_after(open, 7)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  CHECK(!root.done());
  open.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 7);
}

TEST_CASE("a task that is canceled already can still shield what it must do") {
  manual_loop loop;
  gate open;
  std::string log;
  const auto body = [&]() -> task<> {
    const int name = co_await shield(step(log, 'a', open));
    log += static_cast<char>(name);
    co_await open.wait();
    log += "not here";
  };
  manual_loop::root root(loop, body());
  root.line.cancel();
  root.start();
  loop.run_until_idle();
  CHECK(log == "a");
  open.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "aAa");
}

TEST_CASE("inside a shield nobody is asked to end, outside it is seen again") {
  manual_loop loop;
  std::string log;
  const auto ask = [](std::string& l) -> task<> {
    const bool requested = co_await rondo::cancellation_requested();
    l += requested ? 'y' : 'n';
    co_await rondo::checkpoint();
    l += 'c';
  };
  const auto body = [&]() -> task<> {
    co_await shield(ask(log));
    co_await shield(when_all(ask(log), shield(ask(log))));
    co_await ask(log);
  };
  manual_loop::root root(loop, body());
  root.line.cancel();
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "ncnnccy");
}

TEST_CASE("who races against something shielded waits for its end") {
  manual_loop loop;
  gate slow;
  gate quick;
  std::string log;
  manual_loop::root root(loop, when_any(shield(step(log, 'a', slow)), quick.wait()));
  root.start();
  quick.open();
  loop.run_until_idle();
  CHECK(!root.done());
  CHECK(slow.waiting() == 1);
  slow.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(root.take().index() == 1);
  CHECK(log == "aA");
}

TEST_CASE("what a shielded line starts can still be canceled from inside it") {
  manual_loop loop;
  gate never;
  gate quick;
  manual_loop::root root(loop, shield(when_any(never.wait(), quick.wait())));
  root.start();
  root.line.cancel();
  CHECK(never.waiting() == 1);
  quick.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(root.take().index() == 1);
  CHECK(never.waiting() == 0);
}

TEST_CASE("an operation_canceled that comes out of a shield is an error like any other") {
  manual_loop loop;
  const auto throws = []() -> task<int> {
    throw operation_canceled();
    co_return 0;
  };
  manual_loop::root root(loop, rondo::as_result(when_any(shield(throws()), nothing())));
  root.line.cancel();
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  // It wins the race: nobody has canceled what is inside.
  const auto result = root.take();
  CHECK(result.error() == rondo::errc::canceled);
  CHECK(result.exception() != nullptr);
}

TEST_CASE("a shield that is made and dropped destroys what it surrounds, which never ran") {
  counts c;
  bool ran = false;
  const auto body = [](bool& flag, tracked) -> task<> {
    flag = true;
    co_return;
  };
  static_cast<void>(shield(body(ran, tracked(c))));
  CHECK(!ran);
  CHECK(c.alive == 0);
}
