// SPDX-License-Identifier: BSL-1.0

#include <rondo/core/result.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

#include "support/helpers.hpp"

using rondo::errc;
using rondo::result;
using rondo::unexpect;
using Catch::Matchers::ContainsSubstring;
using namespace rondo::test;

namespace {

template <typename E>
std::exception_ptr thrown(E e) {
  return std::make_exception_ptr(std::move(e));
}

}  // namespace

TEST_CASE("a result holds a value") {
  result<int> r(std::in_place, 42);
  CHECK(r.has_value());
  CHECK(static_cast<bool>(r));
  CHECK(r.value() == 42);
  CHECK(*r == 42);
  CHECK(r.value_or(7) == 42);
  CHECK(!r.error());
  CHECK(r.exception() == nullptr);
  *r = 43;
  CHECK(r.value() == 43);
}

TEST_CASE("a result is made of what a value can be made from") {
  const auto half = [](int n) -> result<int> {
    if (n % 2 != 0) return {unexpect, std::make_error_code(std::errc::invalid_argument)};
    return n / 2;
  };
  CHECK(half(8).value() == 4);
  CHECK(half(7).error() == std::errc::invalid_argument);
  const result<std::string> text = "a literal";
  CHECK(*text == "a literal");
  result<std::unique_ptr<int>> moved = std::make_unique<int>(7);
  CHECK(**moved == 7);
  const result<std::vector<int>> sized(3);
  CHECK(sized->size() == 3);
  static_assert(!std::is_convertible_v<std::size_t, result<std::vector<int>>>);
  static_assert(!std::is_constructible_v<result<int>, std::string>);
}

TEST_CASE("a result of a code throws it as system_error") {
  const auto refused = std::make_error_code(std::errc::connection_refused);
  const result<int> r(unexpect, refused);
  CHECK(!r.has_value());
  CHECK(!static_cast<bool>(r));
  CHECK(r.error() == std::errc::connection_refused);
  CHECK(r.value_or(7) == 7);
  try {
    static_cast<void>(r.value());
    FAIL("value() did not throw");
  } catch (const std::system_error& e) {
    CHECK(e.code() == refused);
  }
  CHECK_THROWS_AS(std::rethrow_exception(r.exception()), std::system_error);
}

TEST_CASE("a result says in words why it has no value") {
  CHECK(result<int>(42).message().empty());
  CHECK(result<int>(unexpect, thrown(std::runtime_error("its words"))).message() == "its words");
  const auto refused = std::make_error_code(std::errc::connection_refused);
  CHECK_THAT(result<>(unexpect, refused).message(), ContainsSubstring(refused.message()));
  CHECK_THAT(result<>(unexpect, errc::canceled).message(), ContainsSubstring("canceled"));
  CHECK_THAT(result<>(unexpect, thrown(7)).message(), ContainsSubstring("not a std::exception"));
}

TEST_CASE("a result of errc::canceled throws operation_canceled") {
  const result<> r(unexpect, errc::canceled);
  CHECK(r.error() == errc::canceled);
  CHECK(r.error() == std::errc::operation_canceled);
  CHECK(make_error_code(errc::closed) != std::errc::operation_canceled);
  CHECK_THROWS_AS(r.value(), rondo::operation_canceled);
  CHECK_THROWS_AS(std::rethrow_exception(r.exception()), rondo::operation_canceled);
}

TEST_CASE("a result of an exception throws that very exception") {
  const auto error = thrown(oops(5));
  const result<std::string> r(unexpect, error);
  CHECK(r.exception() == error);
  try {
    static_cast<void>(r.value());
    FAIL("value() did not throw");
  } catch (const oops& e) {
    CHECK(e.number == 5);
  }
}

TEST_CASE("the code of an exception in a result is that of a system_error, or says what it was") {
  const auto code_of = [](std::exception_ptr e) {
    return result<>(unexpect, std::move(e)).error();
  };
  CHECK(code_of(thrown(std::system_error(std::make_error_code(std::errc::broken_pipe)))) ==
        std::errc::broken_pipe);
  CHECK(code_of(thrown(rondo::timeout_error({}))) == std::errc::timed_out);
  CHECK(code_of(thrown(rondo::unexpected_eof(3))) == errc::unexpected_eof);
  CHECK(code_of(thrown(rondo::operation_canceled())) == errc::canceled);
  CHECK(code_of(thrown(rondo::interrupted())) == errc::canceled);
  CHECK(code_of(thrown(oops(1))) == errc::exception);
  CHECK(code_of(thrown(5)) == errc::exception);
}

TEST_CASE("a result of void holds only that it went well") {
  const result<> good(std::in_place);
  CHECK(good.has_value());
  CHECK(!good.error());
  good.value();
  *good;
  static_assert(std::is_void_v<decltype(result<>(std::in_place).value())>);
  static_assert(std::is_same_v<result<>::value_type, void>);
}

TEST_CASE("a result of a reference refers") {
  std::string text = "a";
  const result<std::string&> r(std::in_place, text);
  r.value() += "b";
  *r += "c";
  r->append("d");
  CHECK(text == "abcd");
  CHECK(&*r == &text);
  CHECK(&result<std::string&>(std::in_place, text).value() == &text);
  static_assert(std::is_same_v<decltype(r.value()), std::string&>);
  static_assert(std::is_same_v<decltype(r.value_or("")), std::string>);
  const result<const std::string&> c(std::in_place, text);
  static_assert(std::is_same_v<decltype(c.value()), const std::string&>);
}

TEST_CASE("a result of a reference does not bind to a temporary") {
  static_assert(!std::is_constructible_v<result<std::string&>, std::in_place_t, std::string>);
  SUCCEED();
}

TEST_CASE("the value is moved out of a result that is given away") {
  using pointer = std::unique_ptr<int>;
  result<pointer> a(std::in_place, new int(1));
  const pointer p = std::move(a).value();
  CHECK(*p == 1);
  CHECK(*a == nullptr);
  const pointer q = *result<pointer>(std::in_place, new int(2));
  CHECK(*q == 2);
  const pointer r = result<pointer>(std::in_place, new int(3)).value_or(nullptr);
  CHECK(*r == 3);
  const pointer s = result<pointer>(unexpect, errc::closed).value_or(nullptr);
  CHECK(s == nullptr);
}

TEST_CASE("the value of a result that is looked at stays, and const stays const") {
  const result<std::string> r(std::in_place, 3, 'x');
  const std::string copy = r.value();
  CHECK(copy == "xxx");
  CHECK(r->size() == 3);
  static_assert(std::is_same_v<decltype(r.value()), const std::string&>);
  static_assert(std::is_same_v<decltype(*r), const std::string&>);
  static_assert(std::is_same_v<decltype(r.operator->()), const std::string*>);
  static_assert(std::is_same_v<decltype(std::declval<result<int>&>().value()), int&>);
  static_assert(std::is_same_v<decltype(std::declval<result<int>>().value()), int&&>);
}

TEST_CASE("a result is copied and moved as its value is") {
  static_assert(std::is_copy_constructible_v<result<int>>);
  static_assert(!std::is_copy_constructible_v<result<std::unique_ptr<int>>>);
  static_assert(std::is_nothrow_move_constructible_v<result<std::unique_ptr<int>>>);
  static_assert(!std::is_default_constructible_v<result<int>>);
  result<int> a(std::in_place, 1);
  a = result<int>(unexpect, errc::closed);
  CHECK(a.error() == errc::closed);
  std::vector<result<std::unique_ptr<int>>> several;
  several.emplace_back(std::in_place, std::make_unique<int>(4));
  several.emplace_back(unexpect, errc::closed);
  CHECK(**several[0] == 4);
  CHECK(several[1].error() == errc::closed);
}

TEST_CASE("a result tells a value that is itself a code from an error") {
  const auto code = std::make_error_code(std::errc::timed_out);
  const result<std::error_code> value(std::in_place, code);
  const result<std::error_code> error(unexpect, code);
  CHECK(value.has_value());
  CHECK(!value.error());
  CHECK(!error.has_value());
  CHECK(error.error() == code);
  const result<std::exception_ptr> held(std::in_place, thrown(oops(1)));
  CHECK(held.has_value());
  CHECK(held.exception() == nullptr);
}

TEST_CASE("a result that lost its value in a failed assignment says so when asked for it") {
  struct fragile {
    fragile() = default;
    fragile(const fragile&) { throw oops(1); }
    fragile& operator=(const fragile&) = default;
  };
  const result<fragile> source(std::in_place);
  result<fragile> r(unexpect, errc::closed);
  CHECK_THROWS_AS(r = source, oops);
  CHECK(!r.has_value());
  CHECK(r.error() == errc::exception);
  CHECK(r.exception() != nullptr);
  CHECK_THROWS(static_cast<void>(r.value()));
}
