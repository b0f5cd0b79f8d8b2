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
//     std::size_t n = co_await peer.read(buffer);                  // 0: the peer has ended
//
// How it is read and written: net/stream_socket.hpp. Both ends send small messages at once
// (TCP_NODELAY) unless told not to.

#include <cstdint>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <sys/socket.h>
#include <utility>

#include <rondo/core/task.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/ops/net.hpp>
#include <rondo/net/accept_many.hpp>
#include <rondo/net/endpoint.hpp>
#include <rondo/net/socket.hpp>
#include <rondo/net/stream_socket.hpp>

namespace rondo {

namespace detail {
template <typename Stream>
struct connect_stream_op;
}

class tcp_stream : public detail::stream_socket {
 public:
  tcp_stream() noexcept = default;
  /// Takes over a connected socket that somebody else made.
  [[nodiscard]] static tcp_stream adopt(int fd) noexcept { return tcp_stream(descriptor(fd)); }
  static tcp_stream adopt(const descriptor&) = delete;  // it has an owner: release() it

  /// Connects. Canceled: the attempt is given up. Throws: std::system_error that names the
  /// endpoint.
  [[nodiscard]] static io::operation<detail::connect_stream_op<tcp_stream>> connect(
      const endpoint& peer);

  /// Connects to a name: see net/connect.hpp.
  template <typename = detail::on_use>
  [[nodiscard]] static task<tcp_stream> connect(std::string host, std::uint16_t port);

  /// Whether small messages are sent at once, which is the default, or collected for a moment.
  void set_no_delay(bool on = true) { set_option(IPPROTO_TCP, TCP_NODELAY, static_cast<int>(on)); }

  /// Whether a peer that says nothing is asked from time to time if it is still there; off by
  /// default. After how long it is asked first, and how often then, is the system's: see tcp(7).
  void set_keep_alive(bool on) { set_option(SOL_SOCKET, SO_KEEPALIVE, static_cast<int>(on)); }

 private:
  explicit tcp_stream(descriptor fd) noexcept : stream_socket(std::move(fd)) {}
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
  static tcp_listener adopt(const descriptor&) = delete;  // it has an owner: release() it

  /// Binds and listens: a plain call, which does not wait. Throws: std::system_error that names the
  /// endpoint.
  [[nodiscard]] static tcp_listener bind(const endpoint& at, listen_options options = {});

  /// Waits for the next peer. Canceled: a connection that arrives all the same is delivered or
  /// closed.
  auto accept() & {
    return io::operation(detail::accept_op<tcp_stream>{native_handle()});
  }

  /// Peer after peer, accepted by one operation of the kernel: `co_await peers.next()` gives an
  /// optional<tcp_stream>. Whoever is in the backlog is accepted at once; when 64 or more wait to be
  /// taken, no more are asked for until those are.
  /// Throws (next): std::system_error. That there is no free descriptor (EMFILE) is told once; the
  /// next call waits for room.
  [[nodiscard]] io::multishot<detail::accept_many_source<tcp_stream>> accept_many() & {
    using source = detail::accept_many_source<tcp_stream>;
    return io::multishot<source>(native_handle(), source());
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
  [[nodiscard]] std::string what() const { return "connect to " + to_string(peer); }
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
