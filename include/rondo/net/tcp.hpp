// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// TCP: a stream of bytes to a peer, and a listener that gets one for each peer that connects.
//
//     rondo::tcp_listener listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(7000));
//     for (;;) {
//       rondo::tcp_stream peer = co_await listener.accept();
//       ...
//     }
//
//     rondo::tcp_stream peer = co_await rondo::connect("example.org", 80);   // net/connect.hpp
//     co_await peer.write("GET / HTTP/1.0\r\n\r\n");
//     std::size_t n = co_await peer.read(buffer);                           // 0: the peer has
//     ended
//
// One read and one write may be in flight on a stream at the same time; two reads would share the
// bytes in an order that nobody knows. Both ends send small messages at once (TCP_NODELAY) unless
// told not to.

#include <cstddef>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <utility>

#include <rondo/io/operation.hpp>
#include <rondo/io/ops/net.hpp>
#include <rondo/net/accept_many.hpp>
#include <rondo/net/endpoint.hpp>
#include <rondo/net/receive_many.hpp>
#include <rondo/net/socket.hpp>

namespace rondo {

namespace detail {
template <typename Stream>
struct connect_stream_op;
}

/// Keep the stream where it is, and alive, while something is in flight on it.
class tcp_stream : public detail::socket_base {
 public:
  tcp_stream() noexcept = default;
  /// Takes over a connected socket that somebody else made.
  [[nodiscard]] static tcp_stream adopt(int fd) noexcept { return tcp_stream(descriptor(fd)); }

  /// Connects. Canceled: the attempt is given up. Throws: std::system_error that names the
  /// endpoint.
  [[nodiscard]] static io::operation<detail::connect_stream_op<tcp_stream>> connect(
      const endpoint& peer);

  /// Reads what there is, at least one byte; 0 at the end. Keep alive: the buffer.
  auto read(mutable_buffer to) & { return io::recv(native_handle(), to); }

  /// Fills the buffer. Throws: unexpected_eof, which knows how much came before the end. Canceled
  /// half-way: how much came is lost.
  auto read_exactly(mutable_buffer to) & {
    return io::operation(detail::recv_exactly_op{native_handle(), to});
  }

  /// What comes, as it comes, received by one operation of the kernel into buffers of a ring that
  /// other streams use, too: `co_await chunks.next()` gives an optional<buffer_ring::chunk>, empty
  /// at the end. Not together with read.
  /// Throws (next): std::system_error; EBUSY when the ring is in use by another loop.
  [[nodiscard]] io::multishot<detail::receive_many_source> receive_many(buffer_ring& ring) & {
    using source = detail::receive_many_source;
    return io::multishot<source>(source(native_handle(), ring.group()));
  }

  /// Writes everything. Keep alive: the buffer, unless it is given away (an rvalue string or
  /// vector).
  /// Canceled half-way: how much went is lost.
  template <detail::source_of_bytes B>
  auto write(B&& from) & {
    using op = detail::send_op<detail::source<B>>;
    return io::operation<op>(op{native_handle(), detail::source<B>(std::forward<B>(from))});
  }

  /// Writes at least one byte and gives how many went.
  template <detail::source_of_bytes B>
  auto write_some(B&& from) & {
    return io::send(native_handle(), std::forward<B>(from));
  }

  /// Tells the peer that nothing more will come; it reads 0. Reading goes on. A peer that has gone
  /// already is no error. Throws: std::system_error.
  void shutdown_write() {
    if (::shutdown(native_handle(), SHUT_WR) != 0 && errno != ENOTCONN) {
      detail::throw_errno("shutdown");
    }
  }

  /// Whether small messages are sent at once, which is the default, or collected for a moment.
  void set_no_delay(bool on) { set_option(IPPROTO_TCP, TCP_NODELAY, static_cast<int>(on)); }

  /// Throws: std::system_error, when it is not connected any more.
  [[nodiscard]] endpoint remote_endpoint() const { return ask(&::getpeername, "getpeername"); }

 private:
  explicit tcp_stream(descriptor fd) noexcept : socket_base(std::move(fd)) {}
};

/// A trivial aggregate: safe inside a co_await expression on every compiler.
struct listen_options {
  bool reuse_port =
      false;  // several listeners may bind the same endpoint; the kernel spreads peers
  int backlog = SOMAXCONN;   // connections that wait to be accepted
};

class tcp_listener : public detail::socket_base {
 public:
  tcp_listener() noexcept = default;
  [[nodiscard]] static tcp_listener adopt(int fd) noexcept { return tcp_listener(descriptor(fd)); }

  /// Binds and listens: a plain call, which does not wait. Throws: std::system_error that names the
  /// endpoint.
  [[nodiscard]] static tcp_listener bind(const endpoint& at, listen_options options = {});

  /// Waits for the next peer. Canceled: a connection that arrives all the same is delivered or
  /// closed.
  auto accept() & {
    return io::operation(detail::accept_op<tcp_stream>{native_handle()});
  }

  /// Peer after peer, accepted by one operation of the kernel: `co_await peers.next()` gives an
  /// optional<tcp_stream>. At most 64 or so are accepted before they are taken.
  /// Throws (next): std::system_error. That there is no free descriptor (EMFILE) is told once; the
  /// next call waits for room.
  [[nodiscard]] io::multishot<detail::accept_many_source<tcp_stream>> accept_many() & {
    using source = detail::accept_many_source<tcp_stream>;
    return io::multishot<source>(source(native_handle()));
  }

 private:
  explicit tcp_listener(descriptor fd) noexcept : socket_base(std::move(fd)) {}
};

// Implementation

namespace detail {

/// Makes a socket when it starts, so that nothing is opened for an operation that never does.
template <typename Stream>
struct connect_stream_op {
  using value_type = Stream;
  static constexpr const char* name = "connect";
  endpoint peer;
  descriptor fd{};

  int before() noexcept {
    // Not blocking is for the epoll backend; io_uring does not mind.
    fd = descriptor(::socket(peer.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return -errno;
    const int on = 1;
    if (!peer.is_unix()) ::setsockopt(fd.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return 0;
  }
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_connect(&e, fd.native_handle(), peer.native(), peer.native_size());
  }
  [[nodiscard]] Stream value(int) noexcept { return Stream::adopt(fd.release()); }
  [[noreturn]] void raise(int error) const {
    throw std::system_error(error, std::system_category(), "connect to " + to_string(peer));
  }
};

}  // namespace detail

inline io::operation<detail::connect_stream_op<tcp_stream>> tcp_stream::connect(
    const endpoint& peer) {
  using op = detail::connect_stream_op<tcp_stream>;
  return io::operation<op>(op{peer});
}

inline tcp_listener tcp_listener::bind(const endpoint& at, listen_options options) {
  const auto failed = [&at](const char* call) {
    detail::throw_errno(std::string(call) + " " + to_string(at));
  };
  // Not blocking is for the epoll backend; io_uring does not mind.
  constexpr int type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  tcp_listener listener(descriptor(::socket(at.family(), type, 0)));
  if (!listener) failed("socket for");
  listener.set_option(SOL_SOCKET, SO_REUSEADDR, 1);
  if (options.reuse_port) listener.set_option(SOL_SOCKET, SO_REUSEPORT, 1);
  listener.set_option(IPPROTO_TCP, TCP_NODELAY, 1);  // what is accepted inherits it
  if (::bind(listener.native_handle(), at.native(), at.native_size()) != 0) failed("bind to");
  if (::listen(listener.native_handle(), options.backlog) != 0) failed("listen on");
  return listener;
}

}  // namespace rondo
