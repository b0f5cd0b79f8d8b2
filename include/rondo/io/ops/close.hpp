// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Closing a descriptor of any kind. close(2) alone neither ends what is in flight on it nor, while
// something is, tells a socket's peer; so this is two steps, of which the first cancels.

#include <utility>

#include <rondo/io/descriptor.hpp>
#include <rondo/io/operation.hpp>

namespace rondo::detail {

struct close_op {
  using value_type = void;
  static constexpr const char* name = "close";
  static constexpr bool release = true;
  descriptor fd;
  bool others_canceled = false;

  /// First everything that is in flight on the descriptor is canceled: closing alone would neither
  /// end it nor, for a socket, tell the peer.
  void prepare(io_uring_sqe& e) noexcept {
    if (others_canceled) {
      io_uring_prep_close(&e, fd.release());  // closed, whatever the kernel answers
    } else {
      io_uring_prep_cancel_fd(&e, fd.native_handle(), IORING_ASYNC_CANCEL_ALL);
    }
  }
  bool again(int&) noexcept { return !std::exchange(others_canceled, true); }
  [[nodiscard]] io_uring_sqe* reserve(engine& loop) const noexcept {
    return others_canceled ? loop.reserve_close(fd.native_handle()) : loop.reserve();
  }
};

}  // namespace rondo::detail

namespace rondo::io {

/// Cancels what is in flight on the descriptor, which then ends with errc::closed, and closes it.
/// Not canceled itself, and not refused in a canceled scope.
inline auto close(descriptor fd) {
  return operation<detail::close_op>(detail::close_op{std::move(fd)});
}

}  // namespace rondo::io
