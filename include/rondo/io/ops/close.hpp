// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Closing a descriptor of any kind. close(2) alone neither ends what is in flight on it nor, while
// something is, tells a socket's peer; so what is in flight is canceled first.

#include <utility>

#include <rondo/io/descriptor.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo::detail {

struct close_op {
  using value_type = void;
  static constexpr const char* name = "close";
  static constexpr bool release = true;
  descriptor fd;
  closing_descriptor closing{};
  bool others_ended = false;

  /// First everything that is in flight on the descriptor is canceled, again and again until there
  /// is nothing any more: closing alone would neither end it nor, for a socket, tell the peer.
  void prepare(io_uring_sqe& e) noexcept {
    if (others_ended) {
      io_uring_prep_close(&e, fd.release());  // closed, whatever the kernel answers
    } else {
      io_uring_prep_cancel_fd(&e, fd.native_handle(), IORING_ASYNC_CANCEL_ALL);
    }
  }
  bool again(int& result) noexcept {
    if (!others_ended) {
      others_ended = result <= 0;  // otherwise so many were found, and may not have ended yet
      return true;
    }
    closing.unlink();
    return false;
  }
  [[nodiscard]] io_uring_sqe* reserve(engine& loop) noexcept {
    if (!closing.linked()) loop.begin_to_close(closing, fd.native_handle());
    return others_ended ? loop.reserve_close(fd.native_handle()) : loop.reserve();
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
