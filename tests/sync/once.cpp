// SPDX-License-Identifier: BSL-1.0

#include <memory>
#include <string>

#include <rondo/rondo.hpp>

#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

TASK_TEST("a value is made when it is first asked for, and shared from then on") {
  once<std::string> o;
  int made = 0;
  const auto make = [&made]() -> task<std::string> {
    ++made;
    co_return "value";
  };
  CHECK_FALSE(o.has_value());
  std::string& first = co_await o.get(make);
  CHECK(o.has_value());
  first += "!";
  std::string& second = co_await o.get(make);
  CHECK(&first == &second);
  CHECK(second == "value!");
  CHECK(made == 1);
}

TASK_TEST("what makes it may be a plain function, and may make what can only be moved") {
  once<std::unique_ptr<int>> o;
  auto& value = co_await o.get([] { return std::make_unique<int>(5); });
  CHECK(*value == 5);
  once<> action;
  int calls = 0;
  co_await action.get([&calls] { ++calls; });
  co_await action.get([&calls]() -> task<> {
    ++calls;
    co_return;
  });
  CHECK(calls == 1);
}

TEST_CASE("who asks while it is being made waits for it") {
  manual_loop loop;
  once<int> o;
  event ready;
  int made = 0;
  const auto make = [&]() -> task<int> {
    ++made;
    co_await ready.wait();
    co_return 5;
  };
  waiting a(loop, o.get(make));
  waiting b(loop, o.get(make));
  loop.run_until_idle();
  CHECK_FALSE(b.done());
  ready.set();
  loop.run_until_idle();
  CHECK(a.take() == 5);
  CHECK(&a.take() == &b.take());
  CHECK(made == 1);
}

TEST_CASE("an error is for whoever was making it, and the next one tries again") {
  manual_loop loop;
  once<int> o;
  event go;
  int tries = 0;
  const auto make = [&]() -> task<int> {
    const int number = ++tries;
    co_await go.wait();
    if (number == 1) throw oops(number);
    co_return number;
  };
  waiting a(loop, o.get(make));
  waiting b(loop, o.get(make));
  go.set();
  loop.run_until_idle();
  CHECK_THROWS_AS(a.take(), oops);
  CHECK(b.take() == 2);
}

TEST_CASE("when whoever was making it is canceled, the next one who waits tries") {
  manual_loop loop;
  once<int> o;
  event go;
  int tries = 0;
  const auto make = [&]() -> task<int> {
    const int number = ++tries;
    co_await go.wait();
    co_return number;
  };
  waiting a(loop, o.get(make));
  waiting b(loop, o.get(make));
  waiting c(loop, o.get(make));
  b.cancel();  // it only waits
  a.cancel();
  loop.run_until_idle();
  CHECK(a.was_canceled());
  CHECK(b.was_canceled());
  CHECK_FALSE(c.done());
  go.set();
  loop.run_until_idle();
  CHECK(c.take() == 2);
}

TEST_CASE("a canceled task does not get a value that there is") {
  manual_loop loop;
  once<int> o;
  waiting a(loop, o.get([] { return 1; }));
  CHECK(a.take() == 1);
  waiting b(loop, o.get([] { return 2; }), in_canceled);
  loop.run_until_idle();
  CHECK(b.was_canceled());
}
