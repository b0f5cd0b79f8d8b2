// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Awaitables of other libraries. They know nothing of loops and scopes, and may resume whoever
// awaits them on any thread. So each is awaited by a small coroutine of its own, whose end is
// brought back to the loop that the task belongs to: whatever thread it resumes on, the task
// continues on its loop.
//
// They cannot be canceled: a canceled task that waits for one waits until it ends by itself. One
// allocation each, for the small coroutine.

#include <atomic>
#include <coroutine>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <rondo/core/awaitable.hpp>

namespace rondo::detail {

/// What the small coroutine leaves behind; it lives in the state, not in the coroutine.
template <typename T>
struct foreign_result {
  std::exception_ptr error;
  union {
    T value;
  };
  bool has_value = false;

  foreign_result() noexcept {}
  ~foreign_result() {
    if (has_value) std::destroy_at(std::addressof(value));
  }
  template <typename U>
  void return_value(U&& u) {
    std::construct_at(std::addressof(value), std::forward<U>(u));
    has_value = true;
  }
  T take() { return std::move(value); }
};
template <typename T>
struct foreign_result<T&> {
  std::exception_ptr error;
  T* value = nullptr;
  void return_value(T& v) noexcept { value = std::addressof(v); }
  T& take() { return *value; }
};
template <>
struct foreign_result<void> {
  std::exception_ptr error;
  void take() noexcept {}
};

template <typename T>
class foreign_end : leaf, listener, public ready_node, public foreign_result<T> {
 public:
  foreign_end() noexcept : leaf{&kind}, listener{&foreign_end::arrived} {
    waiter = continuation(static_cast<listener&>(*this));
  }

  /// By the starter, after it has resumed the coroutine: whether it must wait for the end.
  [[nodiscard]] bool must_wait() noexcept {
    // Entered before: the end may be on its way here at once.
    line_->enter(*this);
    ++loop().outside().certain;
    if (phase_.exchange(left, acq_rel) != ended) return true;
    --loop().outside().certain;
    line_->leave();
    return false;
  }

  /// By the coroutine, on any thread, as its last act: nothing of it is touched afterwards.
  void arrive() noexcept {
    loop_base& its = loop();
    if (phase_.exchange(ended, acq_rel) == left) its.push_from_anywhere(*this);
  }

  void begin(scope& line, continuation told) noexcept {
    line_ = &line;
    told_ = told;
  }

 private:
  /// Back on the loop's thread.
  static void arrived(listener& self) noexcept {
    auto& end = static_cast<foreign_end&>(self);
    --end.loop().outside().certain;
    end.line_->leave();
    end.waiter = end.told_;
    end.loop().complete(end);
  }
  [[nodiscard]] loop_base& loop() const noexcept { return line_->loop(); }
  static constexpr leaf_kind kind{"another library's awaitable", [](leaf&) noexcept {}};

  enum phase : unsigned char { running, left, ended };
  static constexpr auto acq_rel = std::memory_order_acq_rel;

  scope* line_ = nullptr;
  continuation told_;
  std::atomic<phase> phase_{running};
};

/// The small coroutine.
class foreign_coroutine {
 public:
  explicit foreign_coroutine(std::coroutine_handle<> coroutine) noexcept : coroutine_(coroutine) {}
  foreign_coroutine(foreign_coroutine&& other) noexcept
      : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  ~foreign_coroutine() {
    if (coroutine_) coroutine_.destroy();
  }
  void resume() const { coroutine_.resume(); }

 private:
  std::coroutine_handle<> coroutine_;
};

template <typename T>
class foreign_promise_base {
 public:
  explicit foreign_promise_base(foreign_end<T>& end) noexcept : end_(end) {}

  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] auto final_suspend() const noexcept {
    struct arrival {
      foreign_end<T>& end;
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<>) const noexcept { end.arrive(); }
      void await_resume() const noexcept {}
    };
    return arrival{end_};
  }
  void unhandled_exception() noexcept { end_.error = std::current_exception(); }

 protected:
  foreign_end<T>& end_;
};

template <typename T>
class foreign_promise : public foreign_promise_base<T> {
 public:
  template <typename A>
  foreign_promise(foreign_end<T>& end, A&&) noexcept : foreign_promise_base<T>(end) {}
  foreign_coroutine get_return_object() noexcept {
    return foreign_coroutine(std::coroutine_handle<foreign_promise>::from_promise(*this));
  }
  template <typename U>
  void return_value(U&& value) {
    this->end_.return_value(std::forward<U>(value));
  }
};
template <>
class foreign_promise<void> : public foreign_promise_base<void> {
 public:
  template <typename A>
  foreign_promise(foreign_end<void>& end, A&&) noexcept : foreign_promise_base(end) {}
  foreign_coroutine get_return_object() noexcept {
    return foreign_coroutine(std::coroutine_handle<foreign_promise>::from_promise(*this));
  }
  void return_void() const noexcept {}
};

}  // namespace rondo::detail

template <typename T, typename A>
struct std::coroutine_traits<rondo::detail::foreign_coroutine, rondo::detail::foreign_end<T>&, A> {
  using promise_type = rondo::detail::foreign_promise<T>;
};

namespace rondo::detail {

template <typename T, typename A>
foreign_coroutine await_foreign(foreign_end<T>&, A awaited) {
  A&& it = static_cast<A&&>(awaited);  // GCC 12 would move a by-value parameter into the expression
  if constexpr (std::is_void_v<T>) {
    co_await static_cast<A&&>(it);
  } else {
    co_return co_await static_cast<A&&>(it);
  }
}

/// A is what is stored: `X&&` and `X&` refer to what outlives the await, `X` is moved in.
template <typename A>
class foreign_state {
  using given = decltype(standard_awaiter_of(std::declval<A&&>()).await_resume());

 public:
  /// What an rvalue reference points to may end with the small coroutine, so it is moved out.
  using value_type =
      std::conditional_t<std::is_lvalue_reference_v<given>, given, std::remove_cvref_t<given>>;

  explicit foreign_state(A&& awaited)
      : coroutine_(await_foreign<value_type, A>(end_, static_cast<A&&>(awaited))) {}

  [[nodiscard]] bool start(scope& line, continuation waiter) noexcept {
    end_.begin(line, waiter);
    coroutine_.resume();
    return end_.must_wait();
  }
  [[nodiscard]] outcome how() const noexcept {
    return end_.error ? outcome::error : outcome::value;
  }
  value_type take() {
    if (end_.error) std::rethrow_exception(end_.error);
    return end_.take();
  }

 private:
  foreign_end<value_type> end_;
  foreign_coroutine coroutine_;
};

}  // namespace rondo::detail
