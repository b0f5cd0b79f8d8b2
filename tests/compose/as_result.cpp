// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/when_all.hpp>

#include <string>
#include <system_error>
#include <type_traits>

#include "compose/children.hpp"
#include "support/helpers.hpp"

using rondo::as_result;
using rondo::operation_canceled;
using rondo::result;
using rondo::task;
using namespace rondo::test;

TASK_TEST("as_result gives values as they are") {
  std::string text;
  const auto refer = [](std::string& t) -> task<std::string&> { co_return t; };
  const result<int> number_or_error = co_await as_result(number(3));
  result<std::string&> reference = co_await as_result(refer(text));
  const result<> none = co_await as_result(nothing());
  CHECK(*number_or_error == 3);
  CHECK(&reference.value() == &text);
  CHECK(none.has_value());
}

TASK_TEST("as_result gives an exception as it was thrown") {
  auto end = co_await as_result(fails(4));
  REQUIRE(!end);
  CHECK(end.error() == rondo::errc::exception);
  CHECK_THROWS_AS(end.value(), oops);
}

TASK_TEST("as_result of what is foreign to the library works, too") {
  const auto throws = []() -> task<int> { co_return co_await ready_awaiter{5}; };
  const result<int> direct = co_await as_result(ready_awaiter{6});
  const result<int> inside = co_await as_result(throws());
  CHECK(*direct == 6);
  CHECK(*inside == 5);
}

TEST_CASE("as_result turns a cancellation into a value, and the next operation throws it") {
  manual_loop loop;
  gate never;
  std::string log;
  const auto body = [&]() -> task<> {
    const result<> end = co_await as_result(never.wait());
    log += end.error() == rondo::errc::canceled ? "canceled" : "?";
    co_await never.wait();
    log += " and on";
  };
  auto work = body();
  manual_loop::root root(loop, std::move(work));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "canceled");
}

TASK_TEST("a child of a combinator may be an as_result") {
  auto both = co_await rondo::when_all(as_result(fails(1)), as_result(number(2)));
  CHECK(!std::get<0>(both));
  CHECK(*std::get<1>(both) == 2);
}
