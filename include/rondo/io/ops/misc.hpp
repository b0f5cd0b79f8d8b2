// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Operations that belong to no kind of descriptor: nop, waiting for readiness, and advice about
// memory.

#include <cstdint>
#include <poll.h>
#include <sys/mman.h>

#include <rondo/io/operation.hpp>

namespace rondo::detail {

struct nop_op {
  using value_type = void;
  static constexpr const char* name = "nop";
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_nop(&e); }
};

struct poll_op {
  using value_type = short;
  static constexpr const char* name = "poll";
  int fd;
  unsigned events;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_poll_add(&e, fd, events); }
};

struct madvise_op {
  using value_type = void;
  static constexpr const char* name = "madvise";
  void* memory;
  std::uint32_t size;
  int advice;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_madvise(&e, memory, size, advice); }
};

}  // namespace rondo::detail

namespace rondo::io {

/// A round trip to the kernel that does nothing.
inline auto nop() { return operation(detail::nop_op()); }

/// Waits until one of the events (POLLIN, POLLOUT, ...; see poll(2)) is true of the descriptor, or
/// an error or hang-up. Gives what is true. The descriptor is left alone.
inline auto poll(int fd, short events) {
  return operation(detail::poll_op{fd, static_cast<unsigned short>(events)});
}

/// madvise(2): tells the kernel how memory will be used, as MADV_WILLNEED for a mapped file that
/// is to be read ahead. Keep alive: the mapping.
inline auto madvise(void* memory, std::uint32_t size, int advice) {
  return operation(detail::madvise_op{memory, size, advice});
}

}  // namespace rondo::io

namespace rondo {

using io::poll;

/// Waits until reading would not block (or would report an error or the end).
inline auto readable(int fd) { return io::poll(fd, POLLIN); }
/// Waits until writing would not block (or would report an error).
inline auto writable(int fd) { return io::poll(fd, POLLOUT); }

}  // namespace rondo
