// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// How long something may take, as it is given to with_timeout and its kin: for so long from its start
// on, or until a moment of the loop's clock.

#include <chrono>

#include <rondo/loop/engine.hpp>
#include <rondo/time/sleep.hpp>

namespace rondo::detail {

class time_limit {
 public:
  template <typename Rep, typename Period>
  explicit time_limit(std::chrono::duration<Rep, Period> d) noexcept {
    using namespace std::chrono;
    using wide = std::chrono::duration<double, std::nano>;
    duration_ = wide(d) >= wide(nanoseconds::max()) ? nanoseconds::max()
                : d <= d.zero()                     ? nanoseconds(0)
                                                    : ceil<nanoseconds>(d);
  }
  explicit time_limit(time_point deadline) noexcept : deadline_(deadline) {}

  [[nodiscard]] time_point deadline(const engine& loop) const noexcept {
    return duration_ == duration_.min() ? deadline_ : deadline_after(loop, duration_);
  }
  /// Whether it has passed before anything could begin.
  [[nodiscard]] bool is_over(const engine& loop) const noexcept {
    return duration_ == duration_.min() ? deadline_ <= loop.turn_time()
                                        : duration_ == duration_.zero();
  }

 private:
  std::chrono::nanoseconds duration_ = std::chrono::nanoseconds::min();  // min: deadline_ counts
  time_point deadline_{};
};

}  // namespace rondo::detail
