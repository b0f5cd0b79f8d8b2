// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// oneshot: a value that arrives once, from a callback or another thread. (asyncio:
// loop.create_future.)
//
//     rondo::oneshot<int> answer;
//     library_call([answer](int n) mutable { answer.set_value(n); });   // on whatever thread
//     int n = co_await answer.wait();
//
// Copies share one state, so a callback holds one of its own and may come as late as it likes.

#include <exception>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <rondo/compose/combinator.hpp>
#include <rondo/core/awaitable.hpp>
#include <rondo/core/error.hpp>

namespace rondo {

namespace detail {
template <typename T>
class oneshot_state;

/// What all copies share.
template <typename T>
struct oneshot_shared {
  std::mutex mutex;
  std::optional<slot<T>> value;
  std::exception_ptr error;
  bool set = false;
  oneshot_state<T>* waiting = nullptr;
};
}  // namespace detail

/// Thread: set_value and set_exception any; wait a loop's. Copying is as safe as copying a
/// shared_ptr.
template <typename T = void>
class oneshot {
 public:
  class [[nodiscard("wait does nothing until it is awaited")]] wait_description
      : public detail::only_in_rondo {
   public:
    using state_type = detail::oneshot_state<T>;

   private:
    friend oneshot;
    friend state_type;
    explicit wait_description(std::shared_ptr<detail::oneshot_shared<T>> shared)
        : shared_(std::move(shared)) {}
    std::shared_ptr<detail::oneshot_shared<T>> shared_;
  };

  oneshot() : shared_(std::make_shared<detail::oneshot_shared<T>>()) {}

  /// Gives the value to whoever waits, or will. Touches nothing of theirs afterwards.
  /// Throws: std::future_error when a value or an error was set before.
  template <typename... U>
    requires(std::is_void_v<T> ? sizeof...(U) == 0
                               : std::is_constructible_v<detail::slot<T>, U...>)
  void set_value(U&&... value) const {
    settle([&](detail::oneshot_shared<T>& s) { s.value.emplace(std::forward<U>(value)...); });
  }
  /// The wait throws this. Throws: as set_value.
  void set_exception(std::exception_ptr error) const {
    settle([&](detail::oneshot_shared<T>& s) { s.error = std::move(error); });
  }

  /// Waits for the value, and takes it: once. A canceled wait takes nothing and may be repeated.
  /// In flight: one wait. Throws: the error that was set; std::logic_error for a second wait.
  [[nodiscard]] wait_description wait() const { return wait_description(shared_); }

 private:
  template <typename F>
  void settle(F f) const {
    const auto shared = shared_;  // this object may go as soon as somebody has been told
    const std::lock_guard lock(shared->mutex);
    if (shared->set) throw std::future_error(std::future_errc::promise_already_satisfied);
    f(*shared);
    shared->set = true;
    if (shared->waiting != nullptr) std::exchange(shared->waiting, nullptr)->arrived();
  }

  std::shared_ptr<detail::oneshot_shared<T>> shared_;
};

// Implementation

namespace detail {

template <typename T>
class oneshot_state : leaf, listener, ready_node {
 public:
  explicit oneshot_state(typename oneshot<T>::wait_description&& w)
      : leaf{&kind},
        listener{&oneshot_state::brought},
        shared_(std::move(w.shared_)) {}
  oneshot_state(const oneshot_state&) = delete;
  oneshot_state& operator=(const oneshot_state&) = delete;

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    line_ = &line;
    told_ = told;
    waiter = continuation(static_cast<listener&>(*this));
    if (line.canceled()) [[unlikely]] {
      canceled_ = true;
      waiter = told;
      line.refuse(*this);
      return true;
    }
    {
      const std::lock_guard lock(shared_->mutex);
      if (shared_->waiting != nullptr) misuse_ = "rondo: two tasks wait for one oneshot";
      if (shared_->set && !shared_->value && !shared_->error) misuse_ = taken_twice;
      if (misuse_ != nullptr) return false;
      if (!shared_->set) {
        shared_->waiting = this;
        ++line.loop().outside().possible;
        line.enter(*this);
        return true;
      }
    }
    waiter = told;
    return line.loop().ready_at_once(*this);
  }

  [[nodiscard]] outcome how() const noexcept {
    if (canceled_) return outcome::canceled;
    return misuse_ != nullptr || shared_->error ? outcome::error : outcome::value;
  }
  T take() {
    if (canceled_) throw operation_canceled();
    if (misuse_ != nullptr) throw std::logic_error(misuse_);
    if (shared_->error) std::rethrow_exception(shared_->error);
    if (!shared_->value) throw std::logic_error(taken_twice);
    if constexpr (std::is_void_v<T>) {
      return;
    } else if constexpr (std::is_reference_v<T>) {
      return std::exchange(shared_->value, std::nullopt)->get();
    } else {
      return *std::exchange(shared_->value, std::nullopt);
    }
  }

 private:
  friend oneshot<T>;
  static constexpr const char* taken_twice = "rondo: a oneshot gives its value once";

  /// On any thread, under the lock: the node is on its way from here on, and a cancellation comes
  /// too late.
  void arrived() noexcept { line_->loop().push_from_anywhere(*this); }

  static void brought(listener& self) noexcept {
    auto& s = static_cast<oneshot_state&>(self);
    --s.line_->loop().outside().possible;
    s.line_->leave();
    s.waiter = s.told_;
    s.line_->loop().complete(s);
  }
  static void cancel_it(leaf& self) noexcept {
    auto& s = static_cast<oneshot_state&>(self);
    const std::lock_guard lock(s.shared_->mutex);
    if (s.shared_->waiting != &s) return;
    s.shared_->waiting = nullptr;
    s.canceled_ = true;
    s.line_->loop().push(s);
  }
  static constexpr leaf_kind kind{"oneshot", &cancel_it};

  std::shared_ptr<oneshot_shared<T>> shared_;
  scope* line_ = nullptr;
  continuation told_;
  bool canceled_ = false;
  const char* misuse_ = nullptr;
};

}  // namespace detail
}  // namespace rondo
