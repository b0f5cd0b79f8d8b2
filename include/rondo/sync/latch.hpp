// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// latch: waits until so many things have happened. It opens once, for good.
//
//     rondo::latch started(workers.size());
//     started.count_down();                 // in each worker
//     co_await started.wait();              // in whoever needs them all

#include <cstddef>
#include <stdexcept>

#include <rondo/core/wait_list.hpp>

namespace rondo {

namespace detail {
class latch_wait;
}

/// Thread: the loop's. Keep it alive while somebody waits.
class latch {
 public:
  class [[nodiscard("nobody arrives or waits until this is awaited")]] wait_description
      : public detail::only_in_rondo {
   public:
    using state_type = detail::latch_wait;

   private:
    friend latch;
    friend state_type;
    wait_description(latch & of, bool arrives) noexcept : latch_(&of), arrives_(arrives) {}
    latch* latch_;
    bool arrives_;
  };

  /// 0: it is open from the start.
  explicit latch(std::size_t n) noexcept : left_(n) {}
  latch(const latch&) = delete;
  latch& operator=(const latch&) = delete;

  /// Throws: std::logic_error when fewer than n are left; then nothing was counted.
  void count_down(std::size_t n = 1) {
    if (n > left_) throw std::logic_error(too_many);
    arrive(n);
  }
  /// Waits until it is open.
  [[nodiscard]] wait_description wait() & noexcept { return {*this, false}; }
  /// Counts down by one, and waits. Throws: as count_down.
  /// Canceled: takes its arrival back, as if it had not come.
  [[nodiscard]] wait_description arrive_and_wait() & noexcept { return {*this, true}; }

  [[nodiscard]] bool is_open() const noexcept { return left_ == 0; }

 private:
  friend detail::latch_wait;
  static constexpr const char* too_many = "rondo: a latch was counted down below zero";

  void arrive(std::size_t n) noexcept {
    left_ -= n;
    if (left_ == 0) waiting_.wake_all();
  }

  std::size_t left_;
  detail::wait_list waiting_;
};

// Implementation

namespace detail {

class latch_wait : public place_in_list {
 public:
  explicit latch_wait(latch::wait_description&& d) noexcept
      : latch_(*d.latch_), arrives_(d.arrives_) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    if (arrives_) {
      one_too_many_ = latch_.is_open();
      if (!one_too_many_) latch_.arrive(1);
    }
    if (latch_.is_open()) return pass(line, told);
    return wait_in(latch_.waiting_, line, told, kind);
  }
  [[nodiscard]] outcome how() const noexcept {
    return one_too_many_ ? outcome::error : place_in_list::how();
  }
  void take() const {
    if (one_too_many_) throw std::logic_error(latch::too_many);
    place_in_list::take();
  }

 private:
  static void cancel_it(leaf& self) noexcept {
    auto& wait = static_cast<latch_wait&>(self);
    if (wait.latch_.is_open()) return;  // by one who is being woken before it: it has passed
    if (wait.arrives_) ++wait.latch_.left_;
    end_canceled(self);
  }
  static constexpr leaf_kind kind{"latch", &cancel_it};

  latch& latch_;
  bool arrives_;
  bool one_too_many_ = false;
};

}  // namespace detail
}  // namespace rondo
