// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What the coroutines of rondo have in common: two words, the place for the result, and how they
// await.
//
// The promise of a task is three words, so that the frame of a trivial task stays within 64 bytes
// on GCC 12: whom to tell, the scope with three state bits in its low bits, and the result.

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/foreign.hpp>
#include <rondo/core/scope.hpp>
#include <rondo/detail/frame_pool.hpp>

namespace rondo::detail {

class promise_base {
 public:
  promise_base() noexcept = default;
  promise_base(const promise_base&) = delete;
  promise_base& operator=(const promise_base&) = delete;

  [[gnu::always_inline]] static void* operator new(std::size_t size) {
    void* const frame = allocate_frame(size);
#if RONDO_CHECK_FRAMES
    frames.newest = frame;
#endif
    return frame;
  }
  [[gnu::always_inline]] static void operator delete(void* frame, std::size_t size) noexcept {
    free_frame(frame, size);
  }

  /// The line of work that the coroutine runs in; known once it was started.
  [[nodiscard]] scope& line() const noexcept {
    return *reinterpret_cast<scope*>(word_ & ~std::uintptr_t{all_bits});
  }

  template <typename A>
  auto await_transform(A&& awaited) {
    if constexpr (operation<A>) {
      return awaiter<state_of<A>>(std::forward<A>(awaited), *this);
    } else if constexpr (describes_operation<A>) {
      static_assert(
          !describes_operation<A>,
          "this is awaited once: write co_await std::move(x), or await it where it is made");
    } else if constexpr (foreign<A>) {
      // By reference: what is awaited outlives the await, and may be immovable.
      return awaiter<foreign_state<A&&>>(std::forward<A>(awaited), *this);
    } else {
      static_assert(foreign<A>, "co_await in a rondo::task needs an awaitable");
    }
  }

  void begin(scope& line, continuation waiter) noexcept {
    word_ = reinterpret_cast<std::uintptr_t>(&line);
    waiter_ = waiter;
  }
  /// The coroutine whose promise this is; see loop_base::resume.
  [[nodiscard]] std::coroutine_handle<> coroutine() noexcept {
    return std::coroutine_handle<promise_base>::from_promise(*this);
  }
  /// Whether it has ended, seen by whoever started it.
  [[nodiscard]] bool ended() const noexcept { return (word_ & (value_bit | error_bit)) != 0; }
  [[nodiscard]] bool failed() const noexcept { return (word_ & error_bit) != 0; }
  /// From now on its end is told to its waiter.
  void awaiter_sleeps() noexcept { word_ |= awaited_bit; }
  [[nodiscard]] bool has_sleeping_awaiter() const noexcept { return (word_ & awaited_bit) != 0; }

 protected:
  // The low bits of word_. value_bit or error_bit: the coroutine has ended, this way. awaited_bit:
  // its awaiter sleeps; without it the awaiter is still inside start() and looks for itself.
  static constexpr unsigned value_bit = 1, error_bit = 2, awaited_bit = 4, all_bits = 7;
  static_assert(alignof(scope) > all_bits);

  struct final_awaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <typename Promise>
    [[nodiscard]] std::coroutine_handle<> await_suspend(
        std::coroutine_handle<Promise> coroutine) const noexcept {
      const promise_base& ended = coroutine.promise();
      if ((ended.word_ & awaited_bit) == 0) return std::noop_coroutine();
      if (ended.waiter_.is_listener()) {
        ended.waiter_.notify();
        return std::noop_coroutine();
      }
      return ended.line().loop().hand_over(ended.waiter_.coroutine());
    }
    void await_resume() const noexcept {}
  };

  template <typename Promise>
  static void check_frame([[maybe_unused]] Promise& promise) noexcept {
#if RONDO_CHECK_FRAMES
    if (std::coroutine_handle<Promise>::from_promise(promise).address() != frames.newest) {
      fail(
          "GCC 12.2 miscompiles this coroutine: it has a co_await in a condition and declares no "
          "variable in its outermost block. Write `const auto c = co_await ...; if (c)` "
          "(GCC bug 106188, fixed in GCC 12.3)");
    }
#endif
  }

  continuation waiter_;
  std::uintptr_t word_ = 0;
};

/// Every coroutine that waits in the ready queue is rondo's, and its promise begins where
/// promise_base does: behind the two words that each frame begins with, because none is aligned
/// further than they are.
inline scope& loop_base::line_of(std::coroutine_handle<> coroutine) noexcept {
  using handle = std::coroutine_handle<promise_base>;
  return handle::from_address(coroutine.address()).promise().line();
}
inline void loop_base::resume(std::coroutine_handle<> coroutine) noexcept {
  running_ = &line_of(coroutine);
  coroutine.resume();
}

/// The place for a result: a value or an exception, told apart by the bits of promise_base.
template <typename T>
class promise_result : public promise_base {
 public:
  promise_result() noexcept {}
  ~promise_result() {
    if ((word_ & value_bit) != 0) {
      std::destroy_at(std::addressof(value_));
    } else if ((word_ & error_bit) != 0) {
      std::destroy_at(std::addressof(error_));
    }
  }

  template <typename U = T>
    requires std::is_constructible_v<T, U>
  void return_value(U&& value) noexcept(std::is_nothrow_constructible_v<T, U>) {
    std::construct_at(std::addressof(value_), std::forward<U>(value));
    word_ |= value_bit;
  }

  void unhandled_exception() noexcept {
    if ((word_ & value_bit) != 0) {  // thrown by a destructor, after the co_return
      std::destroy_at(std::addressof(value_));
      word_ &= ~std::uintptr_t{value_bit};
    }
    std::construct_at(std::addressof(error_), std::current_exception());
    word_ |= error_bit;
  }

  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }

  [[gnu::always_inline]] T take() {
    if (failed()) [[unlikely]] std::rethrow_exception(error_);
    return std::move(value_);
  }
  T& value() {
    if (failed()) [[unlikely]] std::rethrow_exception(error_);
    return value_;
  }

 private:
  union {
    T value_;
    std::exception_ptr error_;
  };
};

template <typename T>
class promise_result<T&> : public promise_result<T*> {
 public:
  void return_value(T& value) noexcept { promise_result<T*>::return_value(std::addressof(value)); }
  T& take() { return *promise_result<T*>::take(); }
  T& value() { return take(); }
};

template <>
class promise_result<void> : public promise_base {
 public:
  void return_void() noexcept { word_ |= value_bit; }
  void unhandled_exception() noexcept {
    error_ = std::current_exception();
    word_ = (word_ & ~std::uintptr_t{value_bit}) | error_bit;
  }
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return error_; }
  void take() {
    if (failed()) [[unlikely]] std::rethrow_exception(error_);
  }
  void value() { take(); }

 private:
  std::exception_ptr error_;
};

}  // namespace rondo::detail
