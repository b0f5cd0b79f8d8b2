// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// to_thread: run a function that blocks on another thread, and await its result. asyncio.to_thread.
//
//     auto digest = co_await rondo::to_thread(hash_file, path);
//
// Give what the function needs as arguments: they are copied. A lambda temporary whose captures
// need a destructor is destroyed twice by GCC 12 inside a co_await expression (core/closure.hpp).

#include <exception>
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rondo/compose/combinator.hpp>
#include <rondo/core/awaitable.hpp>
#include <rondo/core/closure.hpp>
#include <rondo/core/context.hpp>
#include <rondo/loop/event_loop.hpp>
#include <rondo/loop/thread_pool.hpp>

namespace rondo {

namespace detail {

template <typename F, typename... Args>
class thread_call_state;

template <typename F, typename... Args>
class [[nodiscard("to_thread does nothing until it is awaited")]] thread_call
    : public only_in_rondo {
 public:
  using state_type = thread_call_state<F, Args...>;
  thread_call(F&& f, Args&&... args) : f_(std::move(f)), args_(std::move(args)...) {}

 private:
  friend state_type;
  F f_;
  std::tuple<Args...> args_;
};

}  // namespace detail

/// Calls f(args...) on a thread of the loop's pool.
///
/// Gives: what it returns (by value). Throws: what it throws; std::system_error when no thread can
/// be started. It sees the task's context variables.
/// Canceled: a call that has not begun is dropped; one that has is waited for, and its result
/// counts.
template <typename F, typename... Args>
  requires std::invocable<std::decay_t<F>, std::decay_t<Args>...>
[[nodiscard]] auto to_thread(F&& f, Args&&... args) {
  detail::mind_closure<F>();
  return detail::thread_call<std::decay_t<F>, std::decay_t<Args>...>(
      std::decay_t<F>(std::forward<F>(f)), std::decay_t<Args>(std::forward<Args>(args))...);
}

// Implementation

namespace detail {

template <typename F, typename... Args>
class thread_call_state : leaf, listener, ready_node, thread_pool::job {
 public:
  using value_type = std::invoke_result_t<F, Args...>;
  static_assert(!std::is_reference_v<value_type>, "to_thread: return a value, not a reference");

  explicit thread_call_state(thread_call<F, Args...>&& call)
      : leaf{&kind},
        listener{&thread_call_state::arrived},
        job(&thread_call_state::call),
        f_(std::move(call.f_)),
        args_(std::move(call.args_)) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    line_ = &line;
    told_ = told;
    if (line.canceled()) [[unlikely]] {
      how_ = outcome::canceled;
      waiter = told;
      line.refuse(*this);
      return true;
    }
    waiter = continuation(static_cast<listener&>(*this));
    line.enter(*this);
    ++line.loop().outside().certain;
    try {
      pool().submit(*this);
    } catch (...) {
      fail();
      line.loop().push(*this);
    }
    return true;
  }
  [[nodiscard]] outcome how() const noexcept { return how_; }
  value_type take() {
    if (how_ == outcome::canceled) [[unlikely]] throw operation_canceled();
    if (how_ == outcome::error) [[unlikely]] std::rethrow_exception(error_);
    if constexpr (!std::is_void_v<value_type>) return std::move(*value_);
  }

 private:
  [[nodiscard]] thread_pool& pool() const { return event_loop::of(*line_).threads().pool(); }
  void fail() noexcept {
    how_ = outcome::error;
    error_ = std::current_exception();
  }

  /// On the pool's thread. Sending the node is the last thing it does.
  static void call(job& self) noexcept {
    auto& s = static_cast<thread_call_state&>(self);
    thread_context = s.line_->context();
    try {
      if constexpr (std::is_void_v<value_type>) {
        std::apply(std::move(s.f_), std::move(s.args_));
      } else {
        s.value_.emplace(std::apply(std::move(s.f_), std::move(s.args_)));
      }
    } catch (...) {
      s.fail();
    }
    thread_context = nullptr;
    s.line_->loop().push_from_anywhere(s);
  }
  /// Back on the loop's thread.
  static void arrived(listener& self) noexcept {
    auto& s = static_cast<thread_call_state&>(self);
    --s.line_->loop().outside().certain;
    s.line_->leave();
    s.waiter = s.told_;
    s.line_->loop().complete(s);
  }
  static void cancel_it(leaf& self) noexcept {
    auto& s = static_cast<thread_call_state&>(self);
    if (!s.pool().remove(s)) return;
    s.how_ = outcome::canceled;
    s.line_->loop().push(s);
  }
  static constexpr leaf_kind kind{"to_thread", &cancel_it};

  scope* line_ = nullptr;
  continuation told_;
  F f_;
  std::tuple<Args...> args_;
  std::optional<slot<value_type>> value_;
  std::exception_ptr error_;
  outcome how_ = outcome::value;
};

}  // namespace detail
}  // namespace rondo
