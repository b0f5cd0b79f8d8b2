// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Reading, writing and sending with registered memory (io/registered_buffers.hpp), whose pages the
// kernel need not look for. How an operation is awaited, canceled and answered is in
// io/operation.hpp.
//
//     const std::size_t n = co_await rondo::io::read_fixed(fd, blocks[7], 4096);
//
// Each does what the one without `fixed` does. Keep alive: nothing; the operation keeps the memory.
// On epoll, and on a loop where the memory is not registered, it is done as with any memory.

#include <cstddef>
#include <cstdint>

#include <rondo/io/operation.hpp>
#include <rondo/io/ops/read_write.hpp>
#include <rondo/io/ops/send_zc.hpp>
#include <rondo/io/registered_buffers.hpp>

namespace rondo::detail {

/// An operation that names its memory by the index in the loop's ring, if it has one there.
template <typename Op>
struct fixed_op : Op {
  registered_memory::ref memory;
  int index = -1;

  [[nodiscard]] io_uring_sqe* reserve(engine& loop) noexcept {
    index = memory->index_on(loop);
    return loop.reserve();
  }
  void prepare(io_uring_sqe& e) noexcept {
    Op::prepare(e);
    if (index < 0) return;
    e.buf_index = static_cast<std::uint16_t>(index);
    switch (e.opcode) {
      case IORING_OP_READ:
        e.opcode = IORING_OP_READ_FIXED;
        break;
      case IORING_OP_WRITE:
        e.opcode = IORING_OP_WRITE_FIXED;
        break;
      default:  // SEND_ZC has no other opcode
        e.ioprio |= IORING_RECVSEND_FIXED_BUF;
    }
  }
};

}  // namespace rondo::detail

namespace rondo::io {

/// Reads at most once: see io::read.
inline auto read_fixed(int fd, const registered_buffer& to, std::int64_t offset = -1) {
  using op = detail::fixed_op<detail::read_op>;
  return operation<op>(op{{fd, to, offset}, to.memory()});
}

/// Writes at most once: see io::write.
inline auto write_fixed(int fd, const registered_buffer& from, std::int64_t offset = -1) {
  using op = detail::fixed_op<detail::write_some_op<const_buffer>>;
  return operation<op>(op{{fd, detail::writes_on::the_ring, from, offset}, from.memory()});
}

/// Sends at most once, without a copy: see io::send_zc. What it has sent is free when it ends.
inline auto send_zc_fixed(int fd, const registered_buffer& from, int flags = 0) {
  using op = detail::fixed_op<detail::send_zc_op<const_buffer>>;
  return operation<op>(op{{fd, from, flags}, from.memory()});
}

}  // namespace rondo::io
