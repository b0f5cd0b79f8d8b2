// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// result<T>: how something ended, as a value: what it gave, or why it gave nothing.
//
//     result<std::size_t> r = ...;
//     if (r) use(*r);
//     else if (r.error() == std::errc::connection_reset) reconnect();
//     else r.value();                                   // throws what went wrong
//
// An error is held as it came: the code of an operation that the kernel refused stays a code, so
// nothing is thrown or allocated for it; anything else is the exception itself.

#include <cstddef>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include <rondo/config.hpp>
#include <rondo/core/error.hpp>

namespace rondo {

/// Marks the constructors that make a result of an error, as std::unexpect does for std::expected.
struct unexpect_t {
  explicit unexpect_t() = default;
};
inline constexpr unexpect_t unexpect{};

/// A value, a std::error_code or an exception. T may be void or a reference.
template <typename T = void>
class [[nodiscard("a result may hold an error")]] result {
  static_assert(!std::is_const_v<T> && !std::is_rvalue_reference_v<T>,
                "result<T>: T is an object type, an lvalue reference or void, and not const");

  using stored = std::conditional_t<
      std::is_void_v<T>, std::monostate,
      std::conditional_t<std::is_reference_v<T>, std::add_pointer_t<T>, T>>;
  static constexpr std::size_t value_at = 0, code_at = 1, exception_at = 2;

 public:
  using value_type = T;

  template <typename... Args>
    requires(!std::is_reference_v<T> && std::is_constructible_v<stored, Args...>)
  explicit result(std::in_place_t, Args&&... args)
      : state_(std::in_place_index<value_at>, std::forward<Args>(args)...) {}
  template <typename U>
    requires(std::is_reference_v<T> && std::is_convertible_v<U*, stored>)
  explicit result(std::in_place_t, U& value) noexcept
      : state_(std::in_place_index<value_at>, std::addressof(value)) {}

  /// Of whatever a T can be made from, as std::expected takes it: `return 42;`.
  template <typename U>
    requires(std::is_object_v<T> && !std::is_same_v<std::remove_cvref_t<U>, result> &&
             std::is_constructible_v<T, U>)
  explicit(!std::is_convertible_v<U, T>) result(U&& value)
      : state_(std::in_place_index<value_at>, std::forward<U>(value)) {}

  result(unexpect_t, std::error_code code) noexcept : state_(std::in_place_index<code_at>, code) {}
  result(unexpect_t, std::exception_ptr error) noexcept
      : state_(std::in_place_index<exception_at>, std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == value_at; }
  [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

  /// The value. Throws the error: the exception as it came, a code as std::system_error, and
  /// errc::canceled as operation_canceled.
  std::add_lvalue_reference_t<T> value() & { return check(), get(*this); }
  std::add_lvalue_reference_t<const T> value() const& { return check(), get(*this); }
  std::add_rvalue_reference_t<T> value() && { return check(), get(std::move(*this)); }

  /// The value of a result that has one.
  std::add_lvalue_reference_t<T> operator*() & noexcept { return expect(), get(*this); }
  std::add_lvalue_reference_t<const T> operator*() const& noexcept { return expect(), get(*this); }
  std::add_rvalue_reference_t<T> operator*() && noexcept { return expect(), get(std::move(*this)); }

  auto operator->() noexcept
    requires(!std::is_void_v<T>)
  {
    return std::addressof(**this);
  }
  auto operator->() const noexcept
    requires(!std::is_void_v<T>)
  {
    return std::addressof(**this);
  }

  template <typename U>
    requires(!std::is_void_v<T>)
  [[nodiscard]] std::remove_cvref_t<T> value_or(U&& otherwise) const& {
    if (has_value()) return get(*this);
    return static_cast<std::remove_cvref_t<T>>(std::forward<U>(otherwise));
  }
  template <typename U>
    requires(!std::is_void_v<T>)
  [[nodiscard]] std::remove_cvref_t<T> value_or(U&& otherwise) && {
    if (has_value()) return get(std::move(*this));
    return static_cast<std::remove_cvref_t<T>>(std::forward<U>(otherwise));
  }

  /// Why there is no value, as a code: that of a std::system_error (a timeout is one),
  /// errc::canceled for a cancellation, errc::exception for anything else. Compares equal to false
  /// if there is a value.
  [[nodiscard]] std::error_code error() const noexcept {
    if (const auto* code = std::get_if<code_at>(&state_)) return *code;
    try {
      check();
      return {};
    } catch (const std::system_error& e) {
      return e.code();
    } catch (const operation_canceled&) {
      return errc::canceled;
    } catch (...) {
      return errc::exception;
    }
  }

  /// Why there is no value, in words, as the exception or the code has them; empty if there is one.
  [[nodiscard]] std::string message() const {
    return has_value() ? std::string() : detail::describe(exception());
  }

  /// What value() would throw; null if there is a value.
  [[nodiscard]] std::exception_ptr exception() const noexcept {
    if (const auto* error = std::get_if<exception_at>(&state_)) return *error;
    try {
      check();
      return nullptr;
    } catch (...) {
      return std::current_exception();
    }
  }

 private:
  void check() const {
    if (has_value()) [[likely]] return;
    if (const auto* error = std::get_if<exception_at>(&state_)) std::rethrow_exception(*error);
    const std::error_code code = std::get<code_at>(state_);
    if (code == errc::canceled) throw operation_canceled();
    throw std::system_error(code);
  }

  void expect() const noexcept {
    RONDO_ASSERT(has_value(),
                 "the value of a result that holds an error was used: ask it, or use value()");
  }

  template <typename Self>
  static decltype(auto) get([[maybe_unused]] Self&& self) noexcept {
    if constexpr (std::is_reference_v<T>) {
      return static_cast<T>(**std::get_if<value_at>(&self.state_));
    } else if constexpr (!std::is_void_v<T>) {
      auto& value = *std::get_if<value_at>(&self.state_);
      return static_cast<
          std::conditional_t<std::is_lvalue_reference_v<Self>, decltype(value), T&&>>(value);
    }
  }

  std::variant<stored, std::error_code, std::exception_ptr> state_;
};

}  // namespace rondo
