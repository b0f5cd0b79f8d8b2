// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A number of permits, and those who wait for some of them, first come, first served. All of what
// semaphore, mutex and shared_mutex are: a mutex has one permit; in a shared_mutex a reader takes
// one, and a writer takes them all.
//
// A request is granted when it is the first and there are enough permits. So one that asks for many
// is not overtaken by those who ask for few, and whoever gives permits back hands them over to who
// is first: nobody who comes later can be faster.

#include <cstddef>
#include <utility>

#include <rondo/core/wait_list.hpp>

namespace rondo::detail {

class permits {
 public:
  /// What waits in the list.
  class request : public place_in_list {
   protected:
    request() noexcept = default;
    ~request() = default;

    [[nodiscard]] bool wait_for(std::size_t n, permits& of, scope& line, continuation told,
                                const leaf_kind& kind) noexcept {
      wanted_ = n;
      return wait_in(of.waiting_, line, told, kind);
    }
    /// For one that has waited elsewhere and cannot be canceled any more. False: it waits here.
    [[nodiscard]] bool take_or_queue(std::size_t n, permits& of) noexcept {
      if (of.try_take(n)) return true;
      wanted_ = n;
      static constexpr leaf_kind again{"a lock, again", [](leaf&) noexcept {}};
      wait_on(of.waiting_, again);
      return false;
    }

    /// Whether it holds what it asked for.
    bool granted_ = false;

   private:
    friend permits;
    std::size_t wanted_;
  };

  explicit permits(std::size_t n) noexcept : available_(n) {}

  [[nodiscard]] std::size_t available() const noexcept { return available_; }

  [[nodiscard]] bool try_take(std::size_t n) noexcept {
    if (n > available_ || !waiting_.empty()) return false;
    available_ -= n;
    return true;
  }
  void give(std::size_t n) noexcept {
    available_ += n;
    if (!waiting_.empty()) [[unlikely]] pass_on();
  }

  /// Grants what can be granted; after the first in the list has changed.
  [[gnu::noinline]] void pass_on() noexcept {
    while (!waiting_.empty()) {
      auto& first = static_cast<request&>(waiting_.first());
      if (first.wanted_ > available_) return;
      available_ -= first.wanted_;
      first.granted_ = true;
      waiting_.wake_first();
    }
  }

 private:
  std::size_t available_;
  wait_list waiting_;
};

/// Permits that somebody holds; Held is made from (permits&, n). A request that was granted and
/// whose permits nobody has taken, in a combinator that ended otherwise, gives them back.
template <typename Held>
class acquire_state : public permits::request {
 public:
  template <typename Description>
  explicit acquire_state(Description&& d) noexcept : permits_(*d.permits_), n_(d.n_) {}
  ~acquire_state() {
    if (granted_) permits_.give(n_);
  }

  [[nodiscard, gnu::always_inline]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    granted_ = permits_.try_take(n_);
    if (granted_) [[likely]] return pass(line, told);
    return wait_for(n_, permits_, line, told, kind);
  }
  [[gnu::always_inline]] Held take() {
    place_in_list::take();
    granted_ = false;
    return Held(permits_, n_);
  }

 private:
  /// It may have kept smaller requests behind it waiting.
  static void cancel_it(leaf& self) noexcept {
    auto& request = static_cast<acquire_state&>(self);
    request.drop_out();
    request.tell_later();
    request.permits_.pass_on();
  }
  static constexpr leaf_kind kind{Held::what, &cancel_it};

  permits& permits_;
  [[no_unique_address]] typename Held::amount n_;
};

template <typename Held>
class [[nodiscard("nothing is acquired until this is awaited")]] acquire_description
    : public only_in_rondo {
 public:
  using state_type = acquire_state<Held>;
  acquire_description(permits & from, typename Held::amount n) noexcept : permits_(&from), n_(n) {}

 private:
  friend state_type;
  permits* permits_;
  [[no_unique_address]] typename Held::amount n_;
};

/// A number that the compiler knows.
template <std::size_t N>
struct fixed_amount {
  operator std::size_t() const noexcept { return N; }
};

/// A lock that is held, N permits. Owner is the only one who makes one, besides the await.
template <typename Owner, std::size_t N>
class [[nodiscard("a lock is held as long as its guard lives")]] lock_guard {
 public:
  using amount = fixed_amount<N>;
  static constexpr const char* what = "a lock";

  /// Holds nothing.
  lock_guard() noexcept = default;
  lock_guard(lock_guard && other) noexcept : of_(std::exchange(other.of_, nullptr)) {}
  lock_guard& operator=(lock_guard&& other) noexcept {
    lock_guard(std::move(other)).swap(*this);
    return *this;
  }
  ~lock_guard() {
    if (of_ != nullptr) of_->give(N);
  }

  /// Unlocks, if it holds the lock.
  void release() noexcept {
    if (of_ != nullptr) std::exchange(of_, nullptr)->give(N);
  }
  [[nodiscard]] bool owns_lock() const noexcept { return of_ != nullptr; }
  [[nodiscard]] explicit operator bool() const noexcept { return owns_lock(); }
  void swap(lock_guard & other) noexcept { std::swap(of_, other.of_); }

 private:
  friend Owner;
  friend acquire_state<lock_guard>;
  friend class condition_wait;
  lock_guard(permits & of, amount) noexcept : of_(&of) {}

  permits* of_ = nullptr;
};

}  // namespace rondo::detail
