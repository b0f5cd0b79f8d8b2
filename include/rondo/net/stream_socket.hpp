// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What connected sockets have in common, TCP and Unix: a stream of bytes in each direction.

#include <algorithm>
#include <array>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <sys/socket.h>
#include <type_traits>
#include <utility>

#include <rondo/core/done.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/ops/net.hpp>
#include <rondo/net/endpoint.hpp>
#include <rondo/net/receive_many.hpp>
#include <rondo/net/socket.hpp>

namespace rondo {

class file;

namespace detail {

template <typename Parts>
struct send_parts_op;

/// Several buffers that are written as one.
template <typename P>
concept source_of_parts = std::convertible_to<std::remove_reference_t<P>&,
                                              std::span<const const_buffer>>;

/// One read and one write may be in flight at the same time; two reads would share the bytes in an
/// order that nobody knows. Keep the stream where it is, and alive, while something is in flight.
class stream_socket : public socket_base {
 public:
  /// Reads what there is, at least one byte; 0 at the end. Keep alive: the buffer. An empty one
  /// waits for the first byte and gives 0, which is not the end then.
  auto read(mutable_buffer to) & { return io::recv(native_handle(), to); }

  /// Fills the buffer. Throws: unexpected_eof, which knows how much came before the end. Canceled
  /// half-way: how much came is lost.
  auto read_exactly(mutable_buffer to) & {
    return io::operation(recv_exactly_op{native_handle(), to});
  }

  /// What comes, as it comes, received by one operation of the kernel (one for each chunk from a Unix
  /// socket) into buffers of a ring that other streams use, too: `co_await chunks.next()` gives an optional<buffer_ring::chunk>, empty
  /// at the end. Not together with read.
  /// Throws (next): std::system_error; EBUSY when the ring is in use by another loop.
  [[nodiscard]] io::multishot<receive_many_source> receive_many(buffer_ring& ring) & {
    const int fd = native_handle();
    return io::multishot<receive_many_source>(fd, receive_many_source(ring.group(), fd));
  }

  /// Writes everything. Keep alive: the buffer, unless it is given away (an rvalue string or
  /// vector). Canceled half-way: how much went is lost.
  template <source_of_bytes B>
  auto write(B&& from) & {
    using op = send_op<source<B>>;
    return io::operation<op>(op{source<B>(std::forward<B>(from)), native_handle()});
  }

  /// Writes several buffers, one after the other, with one system call for 16 of them: an array or
  /// vector of const_buffer, or a span. Keep alive: the bytes, and the array unless it is given
  /// away.
  template <source_of_parts P>
  auto write(P&& parts) & {
    using kept = std::conditional_t<dying_owner<P>, std::remove_cvref_t<P>,
                                    std::span<const const_buffer>>;
    using op = send_parts_op<kept>;
    return io::operation<op>(op(native_handle(), kept(std::forward<P>(parts))));
  }

  /// Writes at least one byte and gives how many went.
  template <source_of_bytes B>
  auto write_some(B&& from) & {
    return io::send(native_handle(), std::forward<B>(from));
  }

  /// Sends a part of a file, or all of it from `offset` on; the file's position does not matter.
  /// Gives: how many bytes went, fewer than `length` if the file ends before. Keep alive: the file.
  /// Canceled half-way: how much went is lost. Defined in net/send_file.hpp.
  template <typename = on_use>
  task<std::uint64_t> send_file(
      file& from, std::uint64_t offset = 0,
      std::uint64_t length = std::numeric_limits<std::uint64_t>::max()) &;

  /// Tells the peer that nothing more will come; it reads 0. Reading goes on. A peer that has gone
  /// already is no error. It is done here and now; awaiting it, as that of other streams, is allowed.
  /// Throws: std::system_error.
  done shutdown_write() {
    if (::shutdown(native_handle(), SHUT_WR) != 0 && errno != ENOTCONN) throw_errno("shutdown");
    return {};
  }

  /// Throws: std::system_error, when it is not connected any more.
  [[nodiscard]] endpoint remote_endpoint() const { return ask(&::getpeername, "getpeername"); }

 protected:
  stream_socket() noexcept = default;
  explicit stream_socket(descriptor fd) noexcept : socket_base(std::move(fd)) {}
};

// Implementation

/// Sends everything in several buffers. The kernel is told about a few at a time, because what is
/// told stays in here.
template <typename Parts>
struct send_parts_op {
  using value_type = void;
  static constexpr const char* name = "send";

  send_parts_op(int to, Parts&& all) : fd(to), parts(std::move(all)) {}

  void prepare(io_uring_sqe& e) noexcept {
    const std::span<const const_buffer> all(parts);
    skip_what_is_done(all);
    std::size_t count = 0;
    for (; count < some.size() && first + count < all.size(); ++count) {
      const const_buffer b = count == 0 ? all[first].after(done) : all[first + count];
      some[count] = {const_cast<void*>(b.data()), b.size()};
    }
    if (count == 0) return io_uring_prep_nop(&e);
    message.msg_iov = some.data();
    message.msg_iovlen = count;
    io_uring_prep_sendmsg(&e, fd, &message, MSG_NOSIGNAL | MSG_WAITALL);
  }
  bool again(int& result) noexcept {
    if (result <= 0) return false;
    done += static_cast<std::size_t>(result);
    const std::span<const const_buffer> all(parts);
    skip_what_is_done(all);
    return first < all.size();
  }

 private:
  void skip_what_is_done(std::span<const const_buffer> all) noexcept {
    while (first < all.size() && done >= all[first].size()) done -= all[first++].size();
  }

  int fd;
  Parts parts;
  std::size_t first = 0;  // the part that is not done,
  std::size_t done = 0;   // and how much of it is
  std::array<iovec, 16> some{};
  msghdr message{};
};

}  // namespace detail
}  // namespace rondo
