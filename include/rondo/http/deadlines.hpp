// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// By when an answer has to begin, and to be complete: one timer for both, since the first byte comes
// first. libcurl watches the time that connecting takes; its own limits would begin too early for a
// request that waits for a connection.

#include <algorithm>
#include <chrono>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/http/error.hpp>
#include <rondo/http/request.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/time/sleep.hpp>

namespace rondo::http::detail {

/// The base of what ends when they pass: `pass` is called then, once.
class deadlines : protected rondo::detail::timer {
 protected:
  explicit deadlines(void (*pass)(timer&) noexcept) noexcept : timer(pass) {}
  ~deadlines() = default;

  /// complete_by: instead of the limit for the whole, when there is one; max: it is not there. False:
  /// no memory.
  [[nodiscard]] bool set_off(rondo::detail::engine& loop, time_point complete_by) noexcept {
    if (limits.first_byte > limits.first_byte.zero()) {
      first_byte_at_ = rondo::detail::deadline_after(loop, limits.first_byte);
    }
    if (limits.total > limits.total.zero()) {
      complete_at_ = complete_by != time_point::max()
                         ? complete_by
                         : rondo::detail::deadline_after(loop, limits.total);
    }
    return arm_for(loop, std::min(first_byte_at_, complete_at_));
  }
  /// Something of the answer has come. False: no memory.
  [[nodiscard]] bool has_begun(rondo::detail::engine& loop) noexcept {
    if (std::exchange(begun_, true) || !armed() || deadline == complete_at_) return true;
    loop.timers().disarm(*this);
    return arm_for(loop, complete_at_);
  }
  void call_off(rondo::detail::engine& loop) noexcept {
    if (armed()) loop.timers().disarm(*this);
  }
  /// Which it is, in `pass`.
  [[nodiscard]] timeout_kind passed() const noexcept {
    return !begun_ && deadline == first_byte_at_ ? timeout_kind::first_byte : timeout_kind::total;
  }
  [[nodiscard]] std::chrono::nanoseconds limit(timeout_kind kind) const noexcept {
    if (kind == timeout_kind::connect) return limits.connect;
    return kind == timeout_kind::first_byte ? limits.first_byte : limits.total;
  }

  time_limits limits{};

 private:
  [[nodiscard]] bool arm_for(rondo::detail::engine& loop, time_point when) noexcept {
    return when == time_point::max() || loop.timers().arm(*this, when);
  }

  time_point first_byte_at_ = time_point::max();
  time_point complete_at_ = time_point::max();
  bool begun_ = false;
};

}  // namespace rondo::http::detail
