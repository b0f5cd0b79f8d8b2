// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Moving bytes between a pipe and another descriptor, or between two pipes, inside the kernel: they
// never come to the program. How an operation is awaited, canceled and answered is in
// io/operation.hpp.
//
//     // From byte 0 of a file into a pipe, and from the pipe to a socket.
//     const std::size_t n = co_await rondo::io::splice(file, 0, pipe_in, -1, 65536);
//     co_await rondo::io::splice(pipe_out, -1, socket, -1, n);
//
// The kernel gives both to a thread of its own. In flight: what a splice waits for (bytes, or room)
// keeps that thread. Canceled: the thread is interrupted. Closing one of the two ends it, with
// errc::closed.

#include <cstddef>
#include <cstdint>
#include <fcntl.h>

#include <rondo/io/operation.hpp>

namespace rondo::detail {

struct splice_op {
  using value_type = std::size_t;
  static constexpr const char* name = "splice";
  int from;
  std::int64_t from_offset;
  int to;
  std::int64_t to_offset;
  unsigned size;
  unsigned flags;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_splice(&e, from, from_offset, to, to_offset, size, flags);
  }
};

struct tee_op {
  using value_type = std::size_t;
  static constexpr const char* name = "tee";
  int from;
  int to;
  unsigned size;
  unsigned flags;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_tee(&e, from, to, size, flags); }
};

}  // namespace rondo::detail

namespace rondo::io {

/// Moves at most `size` bytes; one of the two is a pipe. Offset -1: the current position, and for a
/// pipe the only choice. Gives how many went; 0 at the end. `flags`: SPLICE_F_MOVE,
/// SPLICE_F_NONBLOCK or SPLICE_F_MORE, see splice(2).
inline auto splice(int from, std::int64_t from_offset, int to, std::int64_t to_offset,
                   unsigned size, unsigned flags = 0) {
  return operation(detail::splice_op{from, from_offset, to, to_offset, size, flags});
}

/// Copies bytes that wait in one pipe into another, and leaves them where they are. Gives how many.
inline auto tee(int from, int to, unsigned size, unsigned flags = 0) {
  return operation(detail::tee_op{from, to, size, flags});
}

}  // namespace rondo::io
