// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Sending without copying: the network card reads the program's own memory. The buffer is not free
// when the bytes have been taken, but when the kernel has done with them, which for TCP is when the
// peer has acknowledged them. So there are two completions: how much went, and later that the
// memory is free; `send_zc` waits for both.
//
//     const std::size_t n = co_await rondo::io::send_zc(socket, big_block);
//
// Pinning the memory costs about as much as copying 10 KB, and on the loopback the kernel copies all
// the same (Documentation/networking/msg_zerocopy.rst), so it is for large blocks to other machines.

#include <cstddef>
#include <cstdint>
#include <sys/socket.h>
#include <utility>

#include <rondo/io/buffer.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/ops/read_write.hpp>

namespace rondo::detail {

template <typename Source>
struct send_zc_op {
  using value_type = std::size_t;
  static constexpr const char* name = "send";
  int fd;
  Source from;
  int flags;
  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer b = from;
    io_uring_prep_send_zc(&e, fd, b.data(), chunk(b.size()), flags | MSG_NOSIGNAL, 0);
  }
  /// Of two completions the first says how much went.
  bool last(int& result, std::uint32_t completion) noexcept {
    if ((completion & IORING_CQE_F_NOTIF) == 0) sent = result;
    result = sent;
    return (completion & IORING_CQE_F_MORE) == 0;
  }
  int sent = 0;
};

}  // namespace rondo::detail

namespace rondo::io {

/// Sends at most once, without a copy and without SIGPIPE. Gives how many bytes went, once the
/// kernel has done with the buffer. Needs: Linux 6.0 and a socket that knows zero-copy (TCP, UDP).
/// Canceled: before bytes went, it ends as canceled; after, it waits for the memory to be free and
/// gives how many.
template <detail::source_of_bytes B>
auto send_zc(int fd, B&& from, int flags = 0) {
  using op = detail::send_zc_op<detail::source<B>>;
  return operation<op>(op{fd, detail::source<B>(std::forward<B>(from)), flags});
}

}  // namespace rondo::io
