// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// condition_variable: waiting, with a mutex, until others have made something true.
//
//     auto guard = co_await m.lock();
//     co_await changed.wait(guard, [&] { return !queue.empty(); });   // unlocked while it waits
//     use(queue.front());                                             // and locked here
//
//     queue.push(x);                     // in another task
//     changed.notify_one();
//
// Tasks of one loop rarely need one: channel and event are simpler. It is for conditions over what
// a mutex protects across awaits.

#include <stdexcept>
#include <utility>

#include <rondo/core/pass.hpp>
#include <rondo/core/task.hpp>
#include <rondo/sync/mutex.hpp>

namespace rondo {

namespace detail {
class condition_wait;
}

/// Thread: the loop's. Keep it, the mutex and the guard alive while somebody waits, and the guard
/// as it is: neither moved nor assigned to.
class condition_variable {
 public:
  class [[nodiscard("wait does nothing until it is awaited")]] wait_description
      : public detail::only_in_rondo {
   public:
    using state_type = detail::condition_wait;

   private:
    friend condition_variable;
    friend state_type;
    wait_description(condition_variable & on, mutex::guard & guard) noexcept
        : condition_(&on), guard_(&guard) {}
    condition_variable* condition_;
    mutex::guard* guard_;
  };

  condition_variable() noexcept = default;
  condition_variable(const condition_variable&) = delete;
  condition_variable& operator=(const condition_variable&) = delete;

  /// Unlocks, waits to be notified, and locks again before it returns or throws. Nobody is woken
  /// without a notification.
  /// Throws: std::logic_error when the guard does not hold its lock: here and now, or, if it was
  /// released since (while it waits, it holds none), from the await.
  /// Canceled: locks again, however long that takes, and then throws. Who was notified before is
  /// not canceled any more, so no notification is lost.
  [[nodiscard]] wait_description wait(mutex::guard& guard) & {
    if (!guard) throw std::logic_error("rondo: condition_variable::wait without the lock");
    return wait_description(*this, guard);
  }
  /// Waits until pred() is true, which is asked with the lock held, first of all and after each
  /// notification. Throws: what pred throws, with the lock held.
  template <typename Pred>
  task<> wait(mutex::guard& guard, Pred pred) &;

  /// With the lock held or not.
  void notify_one() noexcept;
  void notify_all() noexcept;

 private:
  friend detail::condition_wait;
  detail::wait_list waiting_;
};

// Implementation

namespace detail {

/// It waits twice: to be notified, and then for the lock. The second time it cannot be canceled. A
/// notify_one that nobody takes, in a combinator that ended otherwise, goes to the next.
class condition_wait : public permits::request {
 public:
  explicit condition_wait(condition_variable::wait_description&& d) noexcept
      : condition_(*d.condition_), guard_(*d.guard_) {}
  ~condition_wait() {
    hold_again();
    if (passes_on_) condition_.notify_one();
  }

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    if (!guard_) return pass(line, told);
    lock_ = std::exchange(guard_.of_, nullptr);
    static_cast<void>(wait_in(condition_.waiting_, line, told, kind));
    lock_->give(1);
    return true;
  }
  [[nodiscard]] outcome how() const noexcept {
    return has_no_lock() ? outcome::error : place_in_list::how();
  }
  void take() {
    if (has_no_lock()) throw std::logic_error("rondo: condition_variable::wait lost its lock");
    hold_again();
    passes_on_ = false;
    place_in_list::take();
  }
  /// It is in no list, and not in its line. For it alone: not with everybody.
  void notified(bool alone) noexcept {
    passes_on_ = alone;
    if (take_or_queue(1, *lock_)) wait_list::wake(*this);
  }

 private:
  /// It found none when it started, and it was not refused.
  [[nodiscard]] bool has_no_lock() const noexcept {
    return lock_ == nullptr && place_in_list::how() == outcome::value;
  }
  void hold_again() noexcept {
    if (lock_ == nullptr) return;  // it was refused, or has done so
    RONDO_ASSERT(!guard_, "a guard was given a lock while a condition_variable waited with it");
    guard_.of_ = std::exchange(lock_, nullptr);
  }
  static void cancel_it(leaf& self) noexcept {
    auto& wait = static_cast<condition_wait&>(self);
    wait.drop_out();
    if (wait.take_or_queue(1, *wait.lock_)) wait.tell_later();
  }
  static constexpr leaf_kind kind{"condition_variable", &cancel_it};

  condition_variable& condition_;
  mutex::guard& guard_;
  permits* lock_ = nullptr;  // while the guard does not hold it
  bool passes_on_ = false;
};

}  // namespace detail

template <typename Pred>
task<> condition_variable::wait(mutex::guard& guard, Pred pred) & {
  co_await detail::pass();
  while (!pred()) co_await wait(guard);
}

inline void condition_variable::notify_one() noexcept {
  if (waiting_.empty()) return;
  static_cast<detail::condition_wait&>(waiting_.take_out_first()).notified(true);
}
inline void condition_variable::notify_all() noexcept {
  while (!waiting_.empty()) {
    static_cast<detail::condition_wait&>(waiting_.take_out_first()).notified(false);
  }
}

}  // namespace rondo
