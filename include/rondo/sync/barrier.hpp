// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// barrier: a fixed number of tasks wait for each other, round after round.
//
//     rondo::barrier round(players);
//     for (;;) {
//       move();
//       const std::size_t place = co_await round.arrive_and_wait();
//       if (place == 0) print_board();      // one of them
//     }

#include <cstddef>
#include <stdexcept>

#include <rondo/core/wait_list.hpp>

namespace rondo {

namespace detail {
class barrier_wait;
}

/// Thread: the loop's. Keep it alive while somebody waits.
class barrier {
 public:
  class [[nodiscard("nobody arrives until this is awaited")]] wait_description
      : public detail::only_in_rondo {
   public:
    using state_type = detail::barrier_wait;

   private:
    friend barrier;
    friend state_type;
    explicit wait_description(barrier & of) noexcept : barrier_(&of) {}
    barrier* barrier_;
  };

  /// Throws: std::invalid_argument for 0.
  explicit barrier(std::size_t n) : size_(n) {
    if (n == 0) throw std::invalid_argument("rondo: a barrier is for one task or more");
  }
  barrier(const barrier&) = delete;
  barrier& operator=(const barrier&) = delete;

  /// Waits until all have arrived. Gives: the place in which this one did, from 0 to n - 1, each
  /// once in a round.
  /// Canceled: takes its arrival back, as if it had not come.
  [[nodiscard]] wait_description arrive_and_wait() & noexcept { return wait_description(*this); }

  /// How many have arrived and wait for the others.
  [[nodiscard]] std::size_t waiting() const noexcept { return arrived_; }

 private:
  friend detail::barrier_wait;

  std::size_t size_;
  std::size_t arrived_ = 0;
  detail::wait_list waiting_;
};

// Implementation

namespace detail {

class barrier_wait : public place_in_list {
 public:
  explicit barrier_wait(barrier::wait_description&& d) noexcept : barrier_(*d.barrier_) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    if (++barrier_.arrived_ != barrier_.size_) {
      return wait_in(barrier_.waiting_, line, told, kind);
    }
    place_ = barrier_.size_ - 1;
    through_ = true;
    barrier_.arrived_ = 0;
    // All places first: from here on nobody's arrival can be taken back.
    std::size_t place = 0;
    barrier_.waiting_.for_each([&place](place_in_list& each) {
      auto& wait = static_cast<barrier_wait&>(each);
      wait.place_ = place++;
      wait.through_ = true;
    });
    barrier_.waiting_.wake_all();
    return pass(line, told);
  }
  std::size_t take() const {
    place_in_list::take();
    return place_;
  }

 private:
  static void cancel_it(leaf& self) noexcept {
    auto& wait = static_cast<barrier_wait&>(self);
    if (wait.through_) return;
    --wait.barrier_.arrived_;
    end_canceled(self);
  }
  static constexpr leaf_kind kind{"barrier", &cancel_it};

  barrier& barrier_;
  std::size_t place_ = 0;
  bool through_ = false;
};

}  // namespace detail
}  // namespace rondo
