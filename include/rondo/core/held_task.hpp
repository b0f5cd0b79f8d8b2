// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A task that somebody holds until its value is taken, which may be long after its end: a child of a
// combinator, and one that runs on its own. What has ended lets go of its arguments, as a function
// does that returns, and whoever waits for one of them (the end of a pipe, a permit) goes on.
//
// That is done by whoever holds it, where it may run the user's destructors: not while it is told of
// the end, when the coroutine is still on the stack.

#include <coroutine>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <rondo/core/task.hpp>

namespace rondo::detail {

/// As a state of a task. A value whose move may throw stays in the coroutine, and it with it.
template <typename T>
class held_task {
 public:
  static constexpr bool takes_without_throwing = task_state<T>::takes_without_throwing;

  explicit held_task(task<T>&& t) noexcept : task_(std::move(t)) {}
  held_task(const held_task&) = delete;
  held_task& operator=(const held_task&) = delete;
  ~held_task() {
    switch (holds_) {
      case holding::task: std::destroy_at(&task_); break;
      case holding::value: std::destroy_at(&value_); break;
      case holding::error: std::destroy_at(&error_); break;
    }
  }

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    return task_.start(line, told);
  }
  void renew(task<T>&& t) noexcept { task_.renew(std::move(t)); }

  [[nodiscard]] outcome how() const noexcept {
    return holds_ == holding::task ? task_.how() : how_;
  }
  [[nodiscard]] const std::exception_ptr& error() const noexcept {
    return holds_ == holding::task ? task_.error() : error_;
  }
  T take() {
    if (holds_ == holding::task) return task_.take();
    if (holds_ == holding::error) [[unlikely]] std::rethrow_exception(error_);
    if constexpr (std::is_reference_v<T>) {
      return *value_;
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(value_);
    }
  }
  /// The value, where it is; again and again.
  std::add_lvalue_reference_t<T> value() {
    if (holds_ == holding::task) return task_.value();
    if (holds_ == holding::error) [[unlikely]] std::rethrow_exception(error_);
    if constexpr (std::is_reference_v<T>) {
      return *value_;
    } else if constexpr (!std::is_void_v<T>) {
      return value_;
    }
  }

  /// It has ended. Runs the user's destructors.
  void let_go() noexcept {
    if constexpr (takes_without_throwing) {
      if (holds_ != holding::task) return;
      how_ = task_.how();
      const auto ended = task_.release();
      if (how_ == outcome::value) {
        holds_ = holding::value;
        if constexpr (std::is_void_v<T>) {
          std::construct_at(&value_);
        } else if constexpr (std::is_reference_v<T>) {
          std::construct_at(&value_, &ended.promise().take());
        } else {
          std::construct_at(&value_, ended.promise().take());
        }
      } else {
        holds_ = holding::error;
        std::construct_at(&error_, ended.promise().error());
      }
      ended.destroy();
    }
  }

 private:
  enum class holding : unsigned char { task, value, error };

  struct nothing {};
  using kept = std::conditional_t<std::is_void_v<T>, nothing,
                                  std::conditional_t<std::is_reference_v<T>,
                                                     std::remove_reference_t<T>*, T>>;

  union {
    task_state<T> task_;
    kept value_;
    std::exception_ptr error_;
  };
  holding holds_ = holding::task;
  outcome how_ = outcome::value;
};

template <typename A, typename State>
struct held_impl {
  using type = State;
};
template <typename A, typename T>
struct held_impl<A, task_state<T>> {
  using type = held_task<T>;
};
/// The state of anything awaitable, for those who hold it beyond its end.
template <typename A>
using held_state_for = typename held_impl<A, state_for<A>>::type;

/// What has ended, and may hold what others wait for.
template <typename State>
concept lets_go = requires(State& state) { state.let_go(); };

}  // namespace rondo::detail
