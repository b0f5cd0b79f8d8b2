// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Waiting for time to pass.
//
//     co_await rondo::sleep_for(10ms);
//     co_await rondo::sleep_until(deadline);

#include <chrono>
#include <new>

#include <rondo/compose/cancellation.hpp>
#include <rondo/core/awaitable.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo {

namespace detail {

/// A moment so far from now that adding overflows is the end of time.
template <typename Rep, typename Period>
[[nodiscard]] time_point deadline_after(const engine& loop,
                                        std::chrono::duration<Rep, Period> duration) noexcept {
  using wide = std::chrono::duration<double, std::nano>;
  const time_point now = loop.clock_time();
  if (wide(duration) >= wide(time_point::max() - now)) return time_point::max();
  return now + std::chrono::ceil<std::chrono::nanoseconds>(duration);
}

class sleep_state;

class [[nodiscard("a sleep does nothing until it is awaited")]] sleep_description
    : public only_in_rondo {
 public:
  using state_type = sleep_state;
  explicit sleep_description(time_point deadline) noexcept : deadline_(deadline) {}
  explicit sleep_description(std::chrono::nanoseconds duration) noexcept : duration_(duration) {}

 private:
  friend sleep_state;
  std::chrono::nanoseconds duration_ = std::chrono::nanoseconds::min();  // min: deadline_ counts
  time_point deadline_{};
};

}  // namespace detail

/// Sleeps for at least this long, measured from the start of the await. Zero or less is a `yield`.
/// Canceled: wakes at once.
template <typename Rep, typename Period>
auto sleep_for(std::chrono::duration<Rep, Period> duration) noexcept {
  using namespace std::chrono;
  using wide = std::chrono::duration<double, std::nano>;
  if (wide(duration) >= wide(nanoseconds::max())) {
    return detail::sleep_description(nanoseconds::max());
  }
  return detail::sleep_description(duration <= duration.zero() ? nanoseconds(0)
                                                               : ceil<nanoseconds>(duration));
}

/// Sleeps until a moment of the loop's clock, usually the steady one. One that has passed is a
/// `yield`.
inline auto sleep_until(time_point deadline) noexcept {
  return detail::sleep_description(deadline);
}

// Implementation

namespace detail {

class sleep_state : leaf, timer, ready_node {
 public:
  explicit sleep_state(sleep_description&& d) noexcept
      : leaf{&kind},
        timer(&sleep_state::due),
        duration_(d.duration_) {
    deadline = d.deadline_;
  }

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    line_ = &line;
    waiter = told;
    if (line.canceled()) [[unlikely]] {
      how_ = outcome::canceled;
      line.refuse(*this);
      return true;
    }
    if (duration_ != duration_.min()) deadline = deadline_after(loop(), duration_);
    if (duration_ == duration_.zero() || deadline <= loop().turn_time()) {
      loop().push(*this);
      return true;
    }
    if (!loop().timers().arm(*this, deadline)) [[unlikely]] {
      how_ = outcome::error;
      loop().push(*this);
      return true;
    }
    line.enter(*this);
    return true;
  }
  [[nodiscard]] outcome how() const noexcept { return how_; }
  void take() const {
    if (how_ == outcome::canceled) [[unlikely]] throw operation_canceled();
    if (how_ == outcome::error) [[unlikely]] throw std::bad_alloc();
  }

 protected:
  [[nodiscard]] engine& loop() const noexcept { return static_cast<engine&>(line_->loop()); }

 private:
  static void due(timer& self) noexcept {
    auto& s = static_cast<sleep_state&>(self);
    // A sleeper's memory is the coldest of all: it comes to the cache before its turn does.
    __builtin_prefetch(s.waiter.coroutine().address());
    __builtin_prefetch(s.line_);
    __builtin_prefetch(s.line_ + 1);
    s.line_->leave();
    s.loop().complete(s);
  }
  static void cancel_it(leaf& self) noexcept {
    auto& s = static_cast<sleep_state&>(self);
    s.loop().timers().disarm(s);
    s.how_ = outcome::canceled;
    s.line_->leave();
    s.loop().push(s);
  }
  static void show_end(leaf& self, observer& to) {
    auto& state = static_cast<sleep_state&>(self);
    to.due(state.deadline.time_since_epoch().count());
  }
  static constexpr leaf_kind kind{"sleep", &cancel_it, &show_end};

  scope* line_ = nullptr;
  std::chrono::nanoseconds duration_;
  outcome how_ = outcome::value;
};

}  // namespace detail
}  // namespace rondo
