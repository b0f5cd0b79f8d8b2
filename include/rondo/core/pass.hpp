// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// How coroutines that are operations of rondo, and may end without having waited for anything, keep
// to the rules of operations: they begin with
//
//     co_await detail::pass();
//
// It is refused in a canceled scope, and one in 128 waits a turn, so that a task that never has to
// wait ends when it is canceled and does not keep the others from running.

#include <rondo/core/awaitable.hpp>
#include <rondo/core/error.hpp>
#include <rondo/core/scope.hpp>

namespace rondo::detail {

class pass_state;

class [[nodiscard("it does nothing until it is awaited")]] pass_description
    : public only_in_rondo {
 public:
  using state_type = pass_state;
};

class pass_state : ready_node {
 public:
  explicit pass_state(pass_description&&) noexcept {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    waiter = told;
    canceled_ = line.canceled();
    if (!canceled_) [[likely]] return line.loop().ready_at_once(*this);
    line.refuse(*this);
    return true;
  }
  [[nodiscard]] outcome how() const noexcept {
    return canceled_ ? outcome::canceled : outcome::value;
  }
  void take() const {
    if (canceled_) [[unlikely]] throw operation_canceled();
  }

 private:
  bool canceled_ = false;
};

inline auto pass() noexcept { return pass_description(); }

}  // namespace rondo::detail
