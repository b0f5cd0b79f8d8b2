// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// async_generator<T>: a function that gives many values, one when it is asked, and may wait in
// between. Python's `async def` with `yield`.
//
//     rondo::async_generator<std::string> lines(rondo::tcp_stream& from) {
//       for (;;) {
//         ...co_await from.read(buffer)...
//         co_yield line;
//       }
//     }
//
//     auto all = lines(stream);
//     while (auto line = co_await all.next()) use(*line);
//
// It runs only while `next` is awaited, in the task that awaits it, with that task's cancellation,
// limits and context variables. So
// - a `next` that is canceled throws inside the body, where it waits, and ends the generator; after
//   that `next` gives nothing;
// - a generator that is dropped between two values runs the destructors of its locals, and cannot
//   await any more: what must be awaited at the end is done by the body before it returns.

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/done.hpp>
#include <rondo/core/promise.hpp>

namespace rondo {

namespace detail {
template <typename T>
class generator_promise;
template <typename T>
class generator_next;
}  // namespace detail

/// Move it only between two values. Thread: the loop's. One `next` at a time.
template <typename T>
class [[nodiscard("a generator does nothing until next() is awaited")]] async_generator {
  static_assert(std::is_object_v<T> && !std::is_const_v<T>,
                "async_generator<T>: T is an object type, and not const");

 public:
  using promise_type = detail::generator_promise<T>;
  using value_type = T;

  class [[nodiscard("next does nothing until it is awaited")]] next_description
      : public detail::only_in_rondo {
   public:
    using state_type = detail::generator_next<T>;

   private:
    friend async_generator;
    friend state_type;
    explicit next_description(async_generator & of) noexcept : of_(&of) {}
    async_generator* of_;
  };

  async_generator(async_generator && other) noexcept
      : coroutine_(std::exchange(other.coroutine_, nullptr)), closed_(other.closed_) {}
  async_generator& operator=(async_generator&& other) noexcept {
    async_generator(std::move(other)).swap(*this);
    return *this;
  }
  ~async_generator() { end(); }

  void swap(async_generator & other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    std::swap(closed_, other.closed_);
  }

  /// Runs the body until its next co_yield. Gives: an optional with that value, empty when the body
  /// has ended.
  /// Throws: what the body throws, once. Canceled: as the body is, which ends it; in a task that
  /// was canceled before, the body is not touched. A value that nobody took is given by the next
  /// call.
  [[nodiscard]] next_description next()& noexcept {
    RONDO_ASSERT(coroutine_ || closed_, "an async_generator was used after it was moved from");
    return next_description(*this);
  }

  /// Ends the body where it is: what it holds is destroyed, as at the end of a function that throws.
  /// `next` gives an empty optional from here on. Not while a next() runs the body.
  detail::done close()& noexcept {
    end();
    closed_ = true;
    return {};
  }

 private:
  friend promise_type;
  friend detail::generator_next<T>;
  explicit async_generator(std::coroutine_handle<promise_type> coroutine) noexcept
      : coroutine_(coroutine) {}

  void end() noexcept {
    if (!coroutine_) return;
    RONDO_ASSERT(!coroutine_.promise().runs(),
                 "an async_generator was destroyed while its next() was awaited");
    std::exchange(coroutine_, nullptr).destroy();
  }

  std::coroutine_handle<promise_type> coroutine_;
  bool closed_ = false;
};

// Implementation

namespace detail {

template <typename T>
class generator_promise final : public promise_base {
  /// Tells whoever awaits next() as the end of a task does.
  struct yield : final_awaiter {
    [[nodiscard]] std::coroutine_handle<> await_suspend(
        std::coroutine_handle<generator_promise> coroutine) const noexcept {
      coroutine.promise().word_ |= value_bit;
      return final_awaiter::await_suspend(coroutine);
    }
  };
  struct yield_copy : yield {
    explicit yield_copy(const T& of) : value(of) {}
    [[nodiscard]] std::coroutine_handle<> await_suspend(
        std::coroutine_handle<generator_promise> coroutine) noexcept {
      coroutine.promise().yielded_ = std::addressof(value);
      return yield::await_suspend(coroutine);
    }
    T value;
  };

 public:
  async_generator<T> get_return_object() noexcept {
    static_assert(alignof(generator_promise) <= 2 * sizeof(void*),
                  "async_generator<T>: coroutine frames are not aligned further than new aligns");
    promise_base::check_frame(*this);
    return async_generator<T>(std::coroutine_handle<generator_promise>::from_promise(*this));
  }
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] final_awaiter final_suspend() const noexcept { return {}; }

  /// The value stays where it is, in the coroutine, until it is taken.
  yield yield_value(T&& value) noexcept {
    yielded_ = std::addressof(value);
    return {};
  }
  yield_copy yield_value(const T& value) requires std::is_copy_constructible_v<T> {
    return yield_copy(value);
  }

  void return_void() noexcept { word_ |= value_bit; }
  void unhandled_exception() noexcept {
    error_ = std::current_exception();
    word_ |= error_bit;
  }

  [[nodiscard]] bool runs() const noexcept { return has_sleeping_awaiter() && !ended(); }
  /// A value that nobody has taken yet.
  [[nodiscard]] bool has_value() const noexcept { return yielded_ != nullptr; }
  /// What whoever asked before has seen, or did not want to.
  void forget_error() noexcept { error_ = nullptr; }
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

  std::optional<T> take() {
    if (error_) [[unlikely]] std::rethrow_exception(std::exchange(error_, nullptr));
    if (yielded_ == nullptr) return std::nullopt;
    return std::optional<T>(std::move(*std::exchange(yielded_, nullptr)));
  }

 private:
  T* yielded_ = nullptr;
  std::exception_ptr error_;
};

template <typename T>
class generator_next : ready_node {
 public:
  explicit generator_next(typename async_generator<T>::next_description&& d) noexcept
      : of_(*d.of_) {}
  generator_next(const generator_next&) = delete;
  generator_next& operator=(const generator_next&) = delete;

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    line_ = &line;
    waiter = told;
    if (line.canceled()) [[unlikely]] {
      refused_ = true;
      line.refuse(*this);
      return true;
    }
    const auto coroutine = of_.coroutine_;
    if (!coroutine) return line.loop().ready_at_once(*this);  // it was closed
    auto& promise = coroutine.promise();
    RONDO_ASSERT(!promise.runs(), "two tasks await the next() of one async_generator");
    if (coroutine.done()) {
      promise.forget_error();
    } else if (!promise.has_value()) {
      promise.begin(line, told);
      if (line.loop().stack_is_deep()) [[unlikely]] {
        promise.awaiter_sleeps();
        line.loop().bounce(coroutine);
        return true;
      }
      coroutine.resume();
      if (!promise.ended()) {
        promise.awaiter_sleeps();
        return true;
      }
    }
    return line.loop().ready_at_once(*this);
  }
  [[nodiscard]] outcome how() const noexcept {
    if (refused_) return outcome::canceled;
    if (!of_.coroutine_) return outcome::value;
    const std::exception_ptr& error = of_.coroutine_.promise().error();
    if (!error) return outcome::value;
    return line_->canceled() && is_cancellation(error) ? outcome::canceled : outcome::error;
  }
  std::optional<T> take() {
    if (refused_) [[unlikely]] throw operation_canceled();
    if (!of_.coroutine_) return std::nullopt;  // closed, before or since
    return of_.coroutine_.promise().take();
  }

 private:
  async_generator<T>& of_;
  scope* line_ = nullptr;
  bool refused_ = false;
};

}  // namespace detail
}  // namespace rondo
