// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What a loop with virtual time finds when nothing can happen any more, and says about it.
//
//     rondo: deadlock: nothing is in flight and no timer is armed; waiting for ever: the root,
//     reader and 2 tasks without a name
//
// The tasks are asked for their names by canceling them, so the finding is made first and thrown
// when all have ended. Some may not end, because they wait behind a shield for what will never
// come. The loop then has to wait as well, as it would with the steady clock; but it says why.

#include <string>

#include <rondo/core/error.hpp>
#include <rondo/core/roll_call.hpp>

namespace rondo::detail {

struct deadlock {
  bool found = false;
  roll_call waiting;

  [[noreturn, gnu::cold]] void raise() const {
    throw deadlock_error(
        "rondo: deadlock: nothing is in flight and no timer is armed; waiting for ever: " +
        waiting.text());
  }
};

/// For those who do not end although they were canceled.
[[nodiscard]] inline unhandled_error left_in_deadlock(const roll_call& left) {
  return {unhandled_error::kind::left_over, {}, nullptr,
          "a deadlock: nothing is in flight and no timer is armed, and what was canceled waits "
          "behind a shield for what will never come: " +
              left.text()};
}

}  // namespace rondo::detail
