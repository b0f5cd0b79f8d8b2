// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// task<T>: a function that can wait. It does nothing until it is awaited, and whoever awaits it
// goes on when it has ended, with its value or its exception.
//
//     rondo::task<std::string> greeting(std::string name) {
//       co_await rondo::sleep_for(1s);
//       co_return "hello, " + name;
//     }
//     auto text = co_await greeting("world");
//
// Arguments are moved into the coroutine, which lets go of them when it has ended, also as a child of
// a combinator whose other children go on; what is passed by reference is kept alive by the caller
// until the await returns. A lambda's captures are not moved: they live in the lambda object, which
// must outlive the task. To run several tasks at once see compose/when_all.hpp; to run the first
// one see loop/run.hpp.

#include <coroutine>
#include <type_traits>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/promise.hpp>

namespace rondo {

namespace detail {
template <typename T>
class task_promise;
template <typename T>
class task_state;

/// `template <typename = on_use>` before a coroutine of a header: it is compiled by who calls it. GCC
/// compiles any other one (12 and 14 do, to code without optimization), and all that it awaits, in
/// each file that includes it. As a function that is passed on it is `read_file<>` or
/// `&process::wait<>`; clang does not find it without.
using on_use = void;

/// An operation whose value is a T.
template <typename A, typename T>
concept gives = operation<A> && std::is_same_v<await_result_t<A>, T>;

/// Destroys a coroutine that was never started, which a loop in debug mode mentions.
[[gnu::cold, gnu::noinline]] inline void drop_unawaited(std::coroutine_handle<> made) noexcept {
  if (running_loop != nullptr && running_loop->debug()) {
    try {
      running_loop->report(
          {unhandled_error::kind::never_awaited, {}, nullptr,
           "a task was made and destroyed without having been awaited; co_await it, or give it to a "
           "combinator or to spawn"});
    } catch (const std::bad_alloc&) {  // then it is not said
    }
  }
  made.destroy();
}
}  // namespace detail

template <typename T = void>
class [[nodiscard("a task does nothing until it is awaited")]] task : public detail::only_in_rondo {
  static_assert(!std::is_const_v<T> && !std::is_rvalue_reference_v<T>,
                "task<T>: T is an object type, an lvalue reference or void, and not const");

 public:
  using promise_type = detail::task_promise<T>;
  using state_type = detail::task_state<T>;

  /// Of any operation that gives a T, to keep it beside tasks: `std::vector<task<response>>`. Costs
  /// a coroutine; awaited as it is, an operation needs none.
  template <typename A>
    requires(!std::is_same_v<std::remove_cvref_t<A>, task> && !std::is_lvalue_reference_v<A> &&
             detail::gives<A, T>)
  task(A&& operation) : task(await(std::move(operation))) {}

  task(task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  task& operator=(task&& other) noexcept {
    task(std::move(other)).swap(*this);
    return *this;
  }
  [[gnu::always_inline]] ~task() {
    if (coroutine_) [[unlikely]] detail::drop_unawaited(coroutine_);
  }

  void swap(task& other) noexcept { std::swap(coroutine_, other.coroutine_); }

  /// False once it was awaited or moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(coroutine_); }

 private:
  friend promise_type;
  friend state_type;

  explicit task(std::coroutine_handle<promise_type> coroutine) noexcept : coroutine_(coroutine) {}

  template <typename A>
  static task await(A operation) {
    co_return co_await std::move(operation);
  }

  std::coroutine_handle<promise_type> coroutine_;
};

// Implementation

namespace detail {

template <typename T>
class task_promise final : public promise_result<T> {
 public:
  task<T> get_return_object() noexcept {
    static_assert(
        alignof(task_promise) <= 2 * sizeof(void*),
        "task<T>: coroutine frames are not aligned further than new aligns; hold such a T "
        "in a std::unique_ptr");
    promise_base::check_frame(*this);
    return task<T>(std::coroutine_handle<task_promise>::from_promise(*this));
  }
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] promise_base::final_awaiter final_suspend() const noexcept { return {}; }
};

template <typename T>
class task_state {
 public:
  /// take(), when it has ended with a value.
  static constexpr bool takes_without_throwing =
      !std::is_object_v<T> || std::is_nothrow_move_constructible_v<T>;
  explicit task_state(task<T>&& t) noexcept : coroutine_(std::exchange(t.coroutine_, nullptr)) {
    RONDO_ASSERT(coroutine_, "a task was awaited twice, or after it was moved from");
  }
  task_state(const task_state&) = delete;
  task_state& operator=(const task_state&) = delete;
  ~task_state() { coroutine_.destroy(); }

  /// Leaves the coroutine to the caller, and nothing is to be done with the state but to forget it.
  [[nodiscard]] std::coroutine_handle<task_promise<T>> release() noexcept { return coroutine_; }
  /// Instead of a task that has ended, another one.
  void renew(task<T>&& t) noexcept {
    RONDO_ASSERT(t.coroutine_, "a task was awaited twice, or after it was moved from");
    coroutine_.destroy();
    coroutine_ = std::exchange(t.coroutine_, nullptr);
  }

  /// For whoever is no coroutine: starts it by a call.
  [[nodiscard]] bool start(scope& line, continuation waiter) noexcept {
    auto& promise = coroutine_.promise();
    promise.begin(line, waiter);
    if (line.loop().stack_is_deep()) [[unlikely]] {
      promise.awaiter_sleeps();
      line.loop().bounce(coroutine_);
      return true;
    }
    coroutine_.resume();
    if (promise.ended()) return false;
    promise.awaiter_sleeps();
    return true;
  }

  /// For a coroutine, in three steps. They are the await of a task, so they are inlined also where a
  /// compiler finds the translation unit large enough.
  [[gnu::always_inline]] void begin(scope& line, continuation waiter) noexcept {
    coroutine_.promise().begin(line, waiter);
  }
  [[nodiscard, gnu::always_inline]] bool ends_in_a_call() noexcept {
    auto& promise = coroutine_.promise();
    if (!promise.line().loop().stack_is_shallow()) [[unlikely]] {
      promise.awaiter_sleeps();  // it will when the task runs
      return false;
    }
    coroutine_.resume();
    return promise.ended();
  }
  [[nodiscard, gnu::always_inline]] std::coroutine_handle<> hand_over() noexcept {
    auto& promise = coroutine_.promise();
    if (promise.has_sleeping_awaiter()) return promise.line().loop().hand_over(coroutine_);
    promise.awaiter_sleeps();
    return std::noop_coroutine();
  }

  [[nodiscard]] outcome how() const noexcept {
    auto& promise = coroutine_.promise();
    if (!promise.failed()) return outcome::value;
    // An operation_canceled counts as a cancellation only in a line that was canceled.
    return promise.line().canceled() && is_cancellation(promise.error()) ? outcome::canceled
                                                                         : outcome::error;
  }

  [[nodiscard]] const std::exception_ptr& error() const noexcept {
    return coroutine_.promise().error();
  }
  [[gnu::always_inline]] T take() { return coroutine_.promise().take(); }
  /// The value, where it is; again and again.
  std::add_lvalue_reference_t<T> value() { return coroutine_.promise().value(); }

 private:
  std::coroutine_handle<task_promise<T>> coroutine_;
};

/// How a coroutine awaits a task. While the stack is shallow the task is started by a call before
/// the coroutine suspends, so a task that never waits costs no suspension; otherwise the coroutine
/// hands over to it. See core/ready_queue.hpp.
template <typename T>
class awaiter<task_state<T>> {
 public:
  awaiter(task<T>&& t, promise_base& by) noexcept : state_(std::move(t)) {
    state_.begin(by.line(), by.coroutine());
  }

  [[nodiscard, gnu::always_inline]] bool await_ready() noexcept {
    return state_.ends_in_a_call();
  }
  [[nodiscard, gnu::always_inline]] std::coroutine_handle<> await_suspend(
      std::coroutine_handle<>) noexcept {
    return state_.hand_over();
  }
  [[gnu::always_inline]] decltype(auto) await_resume() { return state_.take(); }

 private:
  task_state<T> state_;
};

static_assert(operation<task<int>> && !operation<task<int>&>);

/// An operation that is no task; `task<await_result_t<A>>(std::move(a))` is one.
template <typename A>
concept becomes_task = operation<A> && !std::is_lvalue_reference_v<A> &&
                       !std::is_same_v<A, task<await_result_t<A>>>;

}  // namespace detail
}  // namespace rondo
