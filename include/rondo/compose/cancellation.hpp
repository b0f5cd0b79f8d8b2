// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// How code that computes for long asks whether it should go on.
//
//     for (const block& b : blocks) {
//       co_await checkpoint();                            // throws operation_canceled; others run
//       digest(b);
//     }
//     if (co_await cancellation_requested()) ...          // asks, and throws nothing

#include <rondo/core/awaitable.hpp>
#include <rondo/core/error.hpp>
#include <rondo/core/scope.hpp>

namespace rondo {

namespace detail {

class requested_state;
class checkpoint_state;

class [[nodiscard("a question is asked by awaiting it")]] requested_description
    : public only_in_rondo {
 public:
  using state_type = requested_state;
};

class [[nodiscard("a checkpoint does nothing until it is awaited")]] checkpoint_description
    : public only_in_rondo {
 public:
  using state_type = checkpoint_state;
};

class requested_state {
 public:
  explicit requested_state(requested_description&&) noexcept {}
  [[nodiscard]] bool start(scope& line, continuation) noexcept {
    requested_ = line.canceled();
    return false;
  }
  [[nodiscard]] outcome how() const noexcept { return outcome::value; }
  [[nodiscard]] bool take() const noexcept { return requested_; }

 private:
  bool requested_ = false;
};

class checkpoint_state : ready_node {
 public:
  explicit checkpoint_state(checkpoint_description&&) noexcept {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    line_ = &line;
    waiter = told;
    if (line.canceled()) [[unlikely]] {
      line.refuse(*this);
    } else {
      line.loop().push(*this);
    }
    return true;
  }
  [[nodiscard]] outcome how() const noexcept {
    return line_->canceled() ? outcome::canceled : outcome::value;
  }
  void take() const {
    if (line_->canceled()) [[unlikely]] throw operation_canceled();
  }

 private:
  scope* line_ = nullptr;
};

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

/// For coroutines that are operations of rondo and may end without having waited for anything: they
/// begin with this. It is refused in a canceled scope, and one in 128 waits a turn, so that a task
/// that never has to wait ends when it is canceled and does not keep the others from running.
inline auto pass() noexcept { return pass_description(); }

}  // namespace detail

/// Whether the task is being canceled. Does not wait; never throws. False inside a shield.
inline auto cancellation_requested() noexcept {
  return detail::requested_description();
}

/// Lets everybody else who is ready run first, and throws operation_canceled if the task is being
/// canceled. Costs no system call.
inline auto checkpoint() noexcept { return detail::checkpoint_description(); }

/// checkpoint, by the name that says what it does for the others.
inline auto yield() noexcept { return checkpoint(); }

}  // namespace rondo
