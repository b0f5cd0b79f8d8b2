// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// with_timeout: a limit on how long something may take.
//
//     auto page = co_await with_timeout(5s, session.get(url));      // throws timeout_error
//
// The limit cancels what runs under it and waits for its end, so nothing is left behind. If that ends
// with a value all the same, the value counts. When the task around it was canceled too, the
// cancellation goes on: a timeout inside does not hide it.

#include <chrono>
#include <new>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/time/sleep.hpp>

namespace rondo {

namespace detail {

template <typename A>
class timeout_state;

template <typename A>
class [[nodiscard("with_timeout does nothing until it is awaited")]] timeout_description
    : public only_in_rondo {
 public:
  using state_type = timeout_state<A>;
  timeout_description(std::chrono::nanoseconds limit, A&& awaitable)
      : limit_(limit), awaitable_(std::forward<A>(awaitable)) {}

 private:
  friend state_type;
  std::chrono::nanoseconds limit_;
  A awaitable_;
};

}  // namespace detail

/// Awaits something for at most this long, measured from the start of the await.
///
/// Gives: what it gives. A limit of zero or less starts it and takes what ends without waiting.
/// Throws: timeout_error when the limit canceled it; its own errors.
template <typename Rep, typename Period, awaitable A>
[[nodiscard]] auto with_timeout(std::chrono::duration<Rep, Period> limit, A&& awaitable) {
  using namespace std::chrono;
  using wide = std::chrono::duration<double, std::nano>;
  const auto exact = wide(limit) >= wide(nanoseconds::max()) ? nanoseconds::max()
                     : limit <= limit.zero()                 ? nanoseconds(0)
                                                             : ceil<nanoseconds>(limit);
  return detail::timeout_description<A>(exact, std::forward<A>(awaitable));
}

// Implementation

namespace detail {

template <typename A>
class timeout_state : leaf, timer, listener, ready_node {
 public:
  explicit timeout_state(timeout_description<A>&& d)
      : leaf{&timeout_state::cancel_it},
        timer(&timeout_state::due),
        listener{&timeout_state::ended},
        limit_(d.limit_),
        state_(static_cast<A&&>(d.awaitable_)) {}

  [[nodiscard]] bool start(scope& outer, continuation told) noexcept {
    outer_ = &outer;
    waiter = told;
    inner_.open(outer);
    outer.enter(*this);
    if (!state_.start(inner_, static_cast<listener&>(*this))) {
      outer.leave();  // it needed no waiting, so nobody needed to look at the clock
      return false;
    }
    if (limit_ == limit_.zero()) {
      loop().settle();
      deadline = loop().turn_time();
      due(*this);  // harmless if it has ended meanwhile
    } else if (!loop().timers().arm(*this, deadline_after(limit_))) [[unlikely]] {
      no_memory_ = true;
      inner_.cancel();
    }
    return true;
  }

  [[nodiscard]] outcome how() const noexcept {
    const outcome inside = state_.how();
    return inside == outcome::canceled && limit_decided() ? outcome::error : inside;
  }

  auto take() -> await_result_t<A> {
    if ((timed_out_ || no_memory_) && state_.how() == outcome::canceled && limit_decided())
        [[unlikely]] {
      if (no_memory_) throw std::bad_alloc();
      throw timeout_error(deadline);
    }
    return state_.take();
  }

 private:
  [[nodiscard]] engine& loop() const noexcept { return static_cast<engine&>(outer_->loop()); }
  /// Whether a cancellation inside came from here alone.
  [[nodiscard]] bool limit_decided() const noexcept {
    return (timed_out_ || no_memory_) && !outer_->canceled();
  }

  static void due(timer& self) noexcept {
    auto& t = static_cast<timeout_state&>(self);
    t.timed_out_ = true;
    t.inner_.cancel();
  }
  static void cancel_it(leaf& self) noexcept { static_cast<timeout_state&>(self).inner_.cancel(); }
  static void ended(listener& self) noexcept {
    auto& t = static_cast<timeout_state&>(self);
    if (t.armed()) t.loop().timers().disarm(t);
    t.outer_->leave();
    t.loop().complete(t);
  }

  scope* outer_ = nullptr;
  scope inner_;
  std::chrono::nanoseconds limit_;
  bool timed_out_ = false;
  bool no_memory_ = false;
  state_for<A> state_;
};

}  // namespace detail
}  // namespace rondo
