// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Time, for a loop: its clock, its timers, and when those want its attention. The clock is read when
// somebody asks, at most once a turn.

#include <algorithm>
#include <chrono>
#include <cstddef>

#include <rondo/core/error.hpp>
#include <rondo/loop/loop_clock.hpp>
#include <rondo/loop/options.hpp>
#include <rondo/loop/timers.hpp>

namespace rondo::detail {

class timekeeper {
 public:
  /// What the loop waits for beside its timers: see loop_clock.hpp.
  struct pending {
    bool ends_by_itself;
    bool may_never_end;
  };

  static constexpr time_point never = time_point::max();
  /// As an alarm: there is something to do already. The clock begins when the machine does.
  static constexpr time_point at_once{};

  explicit timekeeper(const loop_options& options) noexcept
      : clock_(options.clock, options.virtual_grace), slack_(options.timer_slack) {}

  [[nodiscard]] timer_queue& timers() noexcept { return timers_; }
  [[nodiscard]] const timer_queue& timers() const noexcept { return timers_; }

  [[nodiscard]] bool is_virtual() const noexcept { return clock_.is_virtual(); }
  [[nodiscard]] time_point now() const noexcept { return clock_.now(); }
  [[nodiscard]] time_point turn() const noexcept {
    if (turn_ == unknown) turn_ = clock_.now();
    return turn_;
  }

  /// Fires what is due: no more than that many, since what is fired and left for later is cold by
  /// the time that it is resumed.
  void begin_turn(std::size_t most) noexcept {
    turn_ = unknown;
    more_is_due_ = !timers_.empty() && !timers_.expire(turn(), most);
  }

  /// One that is armed for the end of time only waits to be canceled.
  [[nodiscard]] bool awaits_a_timer() const noexcept {
    return !timers_.empty() && timers_.earliest() < never - slack_;
  }

  /// When, in real time, the timers want the loop's attention; `never` if only something else can
  /// bring that about.
  [[nodiscard]] time_point next_alarm() const noexcept {
    if (!awaits_a_timer()) return never;
    const time_point earliest = std::max(timers_.earliest(), at_once);
    return more_is_due_ ? earliest : earliest + slack_;  // those have waited for each other
  }
  /// The same when time is virtual.
  [[nodiscard, gnu::cold]] time_point next_alarm(pending others) noexcept {
    if (!awaits_a_timer()) return never;
    if (timers_.earliest() <= clock_.now()) return at_once;
    if (others.ends_by_itself) return never;
    return others.may_never_end ? clock_.end_of_grace() : at_once;
  }

  // Virtual time.

  /// Something can run, or has arrived.
  [[gnu::cold]] void stir() noexcept { clock_.stir(); }
  /// Nothing can: it is the next timer's time, if its alarm has come.
  [[gnu::cold]] void jump_at(time_point alarm) noexcept {
    if (alarm != never && alarm <= loop_clock::real_now()) clock_.jump(timers_.earliest());
  }

 private:
  static constexpr time_point unknown = time_point::min();

  timer_queue timers_;
  loop_clock clock_;
  mutable time_point turn_ = unknown;
  std::chrono::nanoseconds slack_;
  bool more_is_due_ = false;  // when the clock was last looked at
};

}  // namespace rondo::detail
