// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A poll that a loop has in flight for itself, so that what happens on a descriptor ends its sleep.
// Nobody is told; whoever needs it looks whether it is armed still, and arms it again.

#include <cstdint>
#include <poll.h>

#include <rondo/loop/in_flight.hpp>
#include <rondo/loop/liburing.hpp>

namespace rondo::detail {

class own_poll : in_flight {
 public:
  own_poll() noexcept : in_flight(kind) {}

  [[nodiscard]] bool armed() const noexcept { return armed_; }
  /// Until it has reported once.
  void arm_once(io_uring_sqe& entry, int descriptor) noexcept {
    io_uring_prep_poll_add(&entry, descriptor, POLLIN);
    launch(entry);
  }
  /// Until the kernel gives it up: it reports again and again.
  void arm(io_uring_sqe& entry, int descriptor) noexcept {
    io_uring_prep_poll_multishot(&entry, descriptor, POLLIN);
    launch(entry);
  }
  /// Somebody else ends the sleep.
  void never_needed() noexcept { armed_ = true; }

 private:
  void launch(io_uring_sqe& entry) noexcept {
    entry.user_data = reinterpret_cast<std::uintptr_t>(static_cast<in_flight*>(this));
    armed_ = true;
  }
  static void reported(in_flight& self, int, std::uint32_t flags) noexcept {
    if ((flags & IORING_CQE_F_MORE) == 0) static_cast<own_poll&>(self).armed_ = false;
  }
  static constexpr flight_kind kind{{}, &reported};

  bool armed_ = false;
};

}  // namespace rondo::detail
