// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// interval: a tick every so often.
//
//     rondo::interval ticks(1s);
//     while (auto scheduled = co_await ticks.next()) report();
//
// The ticks are counted from the start, so they do not drift by what is done in between.

#include <chrono>
#include <optional>
#include <stdexcept>

#include <rondo/core/done.hpp>
#include <rondo/time/sleep.hpp>

namespace rondo {

/// What becomes of ticks that nobody was waiting for.
enum class missed_ticks {
  burst,  // they are made up for, one after the other, at once
  delay,  // the next one is a whole period from now
  skip,   // they are left out; the next one is on the original schedule
};

/// It goes by the clock of the loop that runs when it is made; made elsewhere, by the steady clock.
/// Thread: the loop's. One `next` at a time.
class interval {
 public:
  class state_type;
  class [[nodiscard("a tick is waited for by awaiting it")]] next_description
      : public detail::only_in_rondo {
   public:
    using state_type = interval::state_type;

   private:
    friend interval;
    friend interval::state_type;
    explicit next_description(interval& of) noexcept : of_(&of) {}
    interval* of_;
  };

  /// The first tick comes one period from now. Throws: std::invalid_argument for a period that is
  /// not positive.
  template <typename Rep, typename Period>
  explicit interval(std::chrono::duration<Rep, Period> period,
                    missed_ticks missed = missed_ticks::burst)
      : interval(in_nanoseconds(period), missed, now()) {
    next_ = one_period_after(next_);
  }
  /// The first tick comes at once.
  template <typename Rep, typename Period>
  [[nodiscard]] static interval starting_now(std::chrono::duration<Rep, Period> period,
                                             missed_ticks missed = missed_ticks::burst) {
    return interval(in_nanoseconds(period), missed, now());
  }

  /// Waits for the next tick. Gives: the moment that it was scheduled for; never empty. Canceled:
  /// the tick is not lost.
  [[nodiscard]] next_description next() & noexcept { return next_description(*this); }
  /// For those who close every stream: between two ticks there is nothing to end.
  detail::done close() & noexcept { return {}; }

 private:
  interval(std::chrono::nanoseconds period, missed_ticks missed, time_point first)
      : period_(period), missed_(missed), next_(first) {
    if (period <= period.zero())
      throw std::invalid_argument("interval: the period must be positive");
  }

  /// A period that is longer than the clock can count is for ever.
  template <typename Rep, typename Period>
  static std::chrono::nanoseconds in_nanoseconds(std::chrono::duration<Rep, Period> period) {
    using std::chrono::nanoseconds;
    using wide = std::chrono::duration<double, std::nano>;
    return wide(period) >= wide(nanoseconds::max()) ? nanoseconds::max()
                                                    : std::chrono::ceil<nanoseconds>(period);
  }
  time_point one_period_after(time_point t) const noexcept {
    return period_ >= time_point::max() - t ? time_point::max() : t + period_;
  }

  static time_point now() noexcept {
    const auto* const loop = static_cast<detail::engine*>(detail::running_loop);
    return loop != nullptr ? loop->clock_time() : std::chrono::steady_clock::now();
  }

  time_point advance(time_point now) noexcept {
    const time_point scheduled = next_;
    next_ = one_period_after(next_);
    if (next_ < now) {
      if (missed_ == missed_ticks::delay) next_ = one_period_after(now);
      if (missed_ == missed_ticks::skip) next_ += period_ * ((now - next_) / period_ + 1);
    }
    return scheduled;
  }

  std::chrono::nanoseconds period_;
  missed_ticks missed_;
  time_point next_;
};

class interval::state_type : detail::sleep_state {
 public:
  explicit state_type(next_description&& d) noexcept
      : sleep_state(sleep_until(d.of_->next_)), of_(*d.of_) {}

  using sleep_state::how;
  using sleep_state::start;
  std::optional<time_point> take() {
    sleep_state::take();
    return of_.advance(loop().clock_time());
  }

 private:
  interval& of_;
};

}  // namespace rondo
