// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// UDP: messages of up to 65507 bytes that arrive whole or not at all, and in any order.
//
//     auto socket = rondo::udp_socket::bind(rondo::endpoint::loopback(5353));
//     auto [size, from] = co_await socket.receive_from(buffer);
//     co_await socket.send_to(std::string_view(buffer.data(), size), from);
//
//     rondo::udp_socket client;
//     client.connect(server);                              // then send and receive: one peer only
//
// Any number of sends and receives may be in flight at the same time; each message goes to one of
// those who receive.

#include <cerrno>
#include <cstddef>
#include <string>
#include <sys/socket.h>
#include <utility>

#include <rondo/core/done.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/ops/net.hpp>
#include <rondo/net/datagram.hpp>
#include <rondo/net/endpoint.hpp>
#include <rondo/net/socket.hpp>

namespace rondo {

namespace detail {
template <typename Source>
struct send_to_op;
struct receive_from_op;
}  // namespace detail

/// What receive_from gives: `auto [size, from] = co_await ...`.
struct received_from {
  std::size_t size;           // bytes
  rondo::endpoint endpoint;   // who sent them
};

/// A trivial aggregate: safe inside a co_await expression on every compiler.
struct udp_options {
  bool reuse_port = false;  // several sockets may bind the same endpoint; the kernel spreads peers
  bool broadcast = false;   // sending to broadcast addresses is allowed
};

/// Keep it where it is, and alive, while something is in flight on it.
class udp_socket : public detail::socket_base {
 public:
  udp_socket() noexcept = default;
  [[nodiscard]] static udp_socket adopt(int fd) noexcept { return udp_socket(descriptor(fd)); }
  static udp_socket adopt(const descriptor&) = delete;  // it has an owner: release() it

  /// A plain call, which does not wait. Throws: std::system_error that names the endpoint.
  [[nodiscard]] static udp_socket bind(const endpoint& at, udp_options options = {});

  /// From now on only what this peer sends is received, and it is whom `send` sends to; that it
  /// does not listen is told by the next call (ECONNREFUSED), if it tells us. A plain call: nothing
  /// is sent. Without a socket one is made, on any port. Throws: std::system_error that names the
  /// endpoint.
  detail::done connect(const endpoint& peer);

  /// Sends one message. Gives: its size. Keep alive: the bytes, unless they are given away.
  /// Throws: std::system_error, EMSGSIZE for one that is too long.
  template <detail::source_of_bytes B>
  auto send_to(B&& message, const endpoint& to) & {
    using op = detail::send_to_op<detail::source<B>>;
    return io::operation<op>(op(native_handle(), detail::source<B>(std::forward<B>(message)), to));
  }
  /// The same, to the peer that it is connected to.
  template <detail::source_of_bytes B>
  auto send(B&& message) & {
    return io::send(native_handle(), std::forward<B>(message));
  }

  /// Receives one message; what does not fit into the buffer is cut off. One of 0 bytes is no end.
  /// Gives: received_from, its size and who has sent it. Keep alive: the buffer.
  auto receive_from(mutable_buffer to) &;
  /// The same, from the peer that it is connected to. Gives: its size.
  auto receive(mutable_buffer to) & { return io::recv(native_handle(), to); }

  /// Message after message, received by one operation of the kernel into buffers of a ring that
  /// others use, too: `co_await messages.next()` gives an optional<datagram>. The buffers hold
  /// datagram::overhead bytes beside the message (44; of a Unix socket unix_overhead, 128); of one
  /// that is longer the rest is cut off.
  /// Throws (next): std::system_error; EBUSY when the ring is in use by another loop.
  [[nodiscard]] io::multishot<detail::receive_from_many_source> receive_many(buffer_ring& ring) & {
    using source = detail::receive_from_many_source;
    return io::multishot<source>(native_handle(), source(ring.group(), native_handle()));
  }

  /// Throws: std::system_error, when it is not connected.
  [[nodiscard]] endpoint remote_endpoint() const { return ask(&::getpeername, "getpeername"); }

 private:
  explicit udp_socket(descriptor fd) noexcept : socket_base(std::move(fd)) {}
  [[nodiscard]] static descriptor make(const endpoint& of) {
    descriptor fd(::socket(of.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) detail::throw_errno("socket for " + to_string(of));
    return fd;
  }
};

// Implementation

namespace detail {

template <typename Source>
struct send_to_op {
  using value_type = std::size_t;
  static constexpr const char* name = "send";

  send_to_op(int socket, Source&& bytes, const endpoint& peer)
      : fd(socket), from(std::move(bytes)), to(peer) {}

  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer bytes = from;
    part = {const_cast<void*>(bytes.data()), bytes.size()};
    message.msg_name = const_cast<sockaddr*>(to.native());
    message.msg_namelen = to.native_size();
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    io_uring_prep_sendmsg(&e, fd, &message, MSG_NOSIGNAL);
  }
  [[nodiscard]] std::string what() const { return "send to " + to_string(to); }

 private:
  int fd;
  Source from;
  endpoint to;
  iovec part{};
  msghdr message{};
};

struct receive_from_op {
  using value_type = received_from;
  static constexpr const char* name = "receive";

  receive_from_op(int socket, mutable_buffer space) noexcept : fd(socket), to(space) {}

  void prepare(io_uring_sqe& e) noexcept {
    part = {to.data(), to.size()};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    io_uring_prep_recvmsg(&e, fd, &message, 0);
  }
  [[nodiscard]] received_from value(int size) const {
    return {static_cast<std::size_t>(size),
            endpoint::from_native(reinterpret_cast<const sockaddr*>(&from), message.msg_namelen)};
  }

 private:
  int fd;
  mutable_buffer to;
  sockaddr_storage from{};
  iovec part{};
  msghdr message{};
};

}  // namespace detail

inline auto udp_socket::receive_from(mutable_buffer to) & {
  return io::operation<detail::receive_from_op>(detail::receive_from_op(native_handle(), to));
}

inline udp_socket udp_socket::bind(const endpoint& at, udp_options options) {
  udp_socket socket(make(at));
  if (options.reuse_port) socket.set_option(SOL_SOCKET, SO_REUSEPORT, 1);
  if (options.broadcast) socket.set_option(SOL_SOCKET, SO_BROADCAST, 1);
  if (::bind(socket.native_handle(), at.native(), at.native_size()) != 0) {
    detail::throw_errno("bind to " + to_string(at));
  }
  return socket;
}

inline detail::done udp_socket::connect(const endpoint& peer) {
  if (!*this) *this = udp_socket(make(peer));
  if (::connect(native_handle(), peer.native(), peer.native_size()) != 0) {
    detail::throw_errno("connect to " + to_string(peer));
  }
  return {};
}

}  // namespace rondo
