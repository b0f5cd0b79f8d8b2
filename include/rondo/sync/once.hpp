// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// once<T>: a value that is made when it is first asked for, by an await, and shared from then on.
//
//     rondo::once<connection> server;
//     connection& c = co_await server.get([] { return connect_to("db"); });
//
// Who asks while it is being made waits for it. If making it fails, or is canceled, only whoever
// was making it sees that, and the next one tries again.

#include <functional>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/task.hpp>
#include <rondo/sync/mutex.hpp>

namespace rondo {

/// T may be void: something that is done once.
/// Thread: the loop's. Keep it alive while somebody asks or uses the value.
template <typename T = void>
class once {
  using stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

 public:
  once() noexcept = default;
  once(const once&) = delete;
  once& operator=(const once&) = delete;

  /// Calls f, which gives the value or something that is awaited for it, unless there is one. f is
  /// kept until then.
  /// Gives: a reference that is valid as long as this.
  /// Throws: what f throws or what it gives throws, if this one called it.
  template <typename F>
  requires std::invocable<F&> task<std::add_lvalue_reference_t<T>> get(F f)
  &;

  [[nodiscard]] bool has_value() const noexcept { return value_.has_value(); }

 private:
  template <typename F>
  task<> make(F& f);

  std::optional<stored> value_;
  mutex making_;
};

// Implementation

template <typename T>
template <typename F>
requires std::invocable<F&> task<std::add_lvalue_reference_t<T>> once<T>::get(F f)
&{
  {
    const auto guard = co_await making_.lock();
    if (!value_) co_await make(f);
  }
  if constexpr (!std::is_void_v<T>) co_return *value_;
}

template <typename T>
template <typename F>
task<> once<T>::make(F& f) {
  using given = std::invoke_result_t<F&>;
  if constexpr (std::is_void_v<T>) {
    if constexpr (awaitable<given>) {
      co_await f();
    } else {
      f();
    }
    value_.emplace();
  } else if constexpr (awaitable<given>) {
    value_.emplace(co_await f());
  } else {
    value_.emplace(f());
  }
  co_return;
}

}  // namespace rondo
