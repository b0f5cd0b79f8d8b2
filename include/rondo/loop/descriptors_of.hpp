// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Which descriptors an entry works on. Closing one ends the operation, and waits until it has ended:
// otherwise it might find another file under that number.

#include <rondo/loop/liburing.hpp>
#include <rondo/loop/opcodes.hpp>

namespace rondo::detail {

struct entry_descriptors {
  int one = -1;
  int other = -1;
  [[nodiscard]] bool has(int fd) const noexcept { return one == fd || other == fd; }
};

/// Negative: none; AT_FDCWD is none. The folder of a path counts. Inlined, because the opcode is
/// known wherever an operation was prepared: then nothing is left of the switch.
[[nodiscard, gnu::always_inline]] inline entry_descriptors descriptors_of(const io_uring_sqe& e) noexcept {
  if ((e.flags & IOSQE_FIXED_FILE) != 0) return {};  // an index
  switch (e.opcode) {
    case IORING_OP_CLOSE:  // it gives it back
    case IORING_OP_SOCKET:
    case IORING_OP_GETXATTR:
    case IORING_OP_SETXATTR:
    case opcode::waitid:
    case opcode::futex_wait:
      return {};  // what is in this place is something else
    case IORING_OP_SPLICE:
    case IORING_OP_TEE:
      return {e.fd, e.splice_fd_in};
    case IORING_OP_RENAMEAT:
    case IORING_OP_LINKAT:
      return {e.fd, static_cast<int>(e.len)};
    default:
      return {e.fd, -1};
  }
}

}  // namespace rondo::detail
