// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Operations on sockets: what is asked, one struct each. How they are awaited, canceled and
// answered is in io/operation.hpp.

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sys/socket.h>

#include <rondo/io/buffer.hpp>
#include <rondo/io/descriptor.hpp>
#include <rondo/io/operation.hpp>
#include <rondo/io/ops/close.hpp>
#include <rondo/io/ops/read_write.hpp>
#include <rondo/loop/opcodes.hpp>

namespace rondo::detail {

/// A longer one is left to the kernel, which refuses it.
inline void copy_address(sockaddr_storage& to, const sockaddr* from, socklen_t length) noexcept {
  std::memcpy(&to, from, length < sizeof to ? length : sizeof to);
}

struct socket_op {
  using value_type = descriptor;
  static constexpr const char* name = "socket";
  int domain;
  int type;
  int protocol;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_socket(&e, domain, type | SOCK_CLOEXEC, protocol, 0);
  }
};

struct bind_op {
  using value_type = void;
  static constexpr const char* name = "bind";
  static constexpr std::uint8_t newer_opcode = opcode::bind;
  int fd;
  sockaddr_storage address;
  socklen_t length;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_rw(newer_opcode, &e, fd, &address, 0, length);
  }
};

struct listen_op {
  using value_type = void;
  static constexpr const char* name = "listen";
  static constexpr std::uint8_t newer_opcode = opcode::listen;
  int fd;
  int backlog;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_rw(newer_opcode, &e, fd, nullptr, static_cast<unsigned>(backlog), 0);
  }
};

struct connect_op {
  using value_type = void;
  static constexpr const char* name = "connect";
  int fd;
  sockaddr_storage address;
  socklen_t length;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_connect(&e, fd, reinterpret_cast<const sockaddr*>(&address), length);
  }
};

/// Owner: what the descriptor is delivered in.
template <typename Owner>
struct accept_op {
  using value_type = Owner;
  static constexpr const char* name = "accept";
  int fd;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_accept(&e, fd, nullptr, nullptr, SOCK_CLOEXEC);
  }
};

struct shutdown_op {
  using value_type = void;
  static constexpr const char* name = "shutdown";
  int fd;
  int how;
  [[nodiscard]] int call() const noexcept { return ::shutdown(fd, how) == 0 ? 0 : -errno; }
};

struct recv_op {
  using value_type = std::size_t;
  static constexpr const char* name = "recv";
  int fd;
  int flags;
  mutable_buffer to;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_recv(&e, fd, to.data(), chunk(to.size()), flags);
  }
};

struct recv_exactly_op {
  using value_type = void;
  using exactly = read_exactly_op::exactly;
  static constexpr const char* name = "recv";
  int fd;
  mutable_buffer to;
  std::size_t done = 0;
  void prepare(io_uring_sqe& e) noexcept {
    const mutable_buffer rest = to.after(done);
    if (rest.size() == 0) return io_uring_prep_nop(&e);  // TCP would wait for a byte to come
    io_uring_prep_recv(&e, fd, rest.data(), chunk(rest.size()), MSG_WAITALL);
  }
  bool again(int& result) noexcept { return exactly::again(result, done, to.size()); }
  void raise(int error) const { exactly::raise(error, done); }
};

template <typename Source>
struct send_some_op {
  using value_type = std::size_t;
  static constexpr const char* name = "send";
  int fd;
  int flags;
  Source from;
  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer b = from;
    io_uring_prep_send(&e, fd, b.data(), chunk(b.size()), flags | MSG_NOSIGNAL);
  }
};

/// Sends everything. MSG_WAITALL lets the kernel go on by itself after a short send.
template <typename Source>
struct send_op {
  using value_type = void;
  static constexpr const char* name = "send";
  [[no_unique_address]] Source from;
  int fd;
  std::size_t done = 0;
  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer rest = const_buffer(from).after(done);
    io_uring_prep_send(&e, fd, rest.data(), chunk(rest.size()), MSG_NOSIGNAL | MSG_WAITALL);
  }
  bool again(int& result) noexcept {
    if (result <= 0) return false;
    done += static_cast<std::size_t>(result);
    return done < const_buffer(from).size();
  }
};

struct recvmsg_op {
  using value_type = std::size_t;
  static constexpr const char* name = "recvmsg";
  int fd;
  msghdr* message;
  unsigned flags;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_recvmsg(&e, fd, message, flags); }
};

struct sendmsg_op {
  using value_type = std::size_t;
  static constexpr const char* name = "sendmsg";
  int fd;
  const msghdr* message;
  unsigned flags;
  void prepare(io_uring_sqe& e) noexcept {
    io_uring_prep_sendmsg(&e, fd, message, flags | MSG_NOSIGNAL);
  }
};

}  // namespace rondo::detail

namespace rondo::io {

inline auto socket(int domain, int type, int protocol = 0) {
  return operation(detail::socket_op{domain, type, protocol});
}

/// Gives a socket its address, which is copied. An operation of the kernel since Linux 6.11;
/// before, the library makes the call.
inline auto bind(int fd, const sockaddr* address, socklen_t length) {
  detail::bind_op op{fd, {}, length};
  detail::copy_address(op.address, address, length);
  return operation(op);
}

/// Lets a socket take connections; `backlog` is how many may wait to be accepted. An operation of
/// the kernel since Linux 6.11; before, the library makes the call.
inline auto listen(int fd, int backlog = SOMAXCONN) {
  return operation(detail::listen_op{fd, backlog});
}

/// Connects a socket; the address is copied.
inline auto connect(int fd, const sockaddr* address, socklen_t length) {
  detail::connect_op op{fd, {}, length};
  detail::copy_address(op.address, address, length);
  return operation(op);
}

/// Waits for a connection. Canceled: one that arrives all the same is delivered or closed.
inline auto accept(int fd) {
  return operation(detail::accept_op<descriptor>{fd});
}

/// Receives at most once. Gives how many bytes came; 0 at the end.
inline auto recv(int fd, mutable_buffer to, int flags = 0) {
  return operation(detail::recv_op{fd, flags, to});
}

/// Sends at most once, without SIGPIPE. Gives how many bytes went.
template <detail::source_of_bytes B>
auto send(int fd, B&& from, int flags = 0) {
  using op = detail::send_some_op<detail::source<B>>;
  return operation<op>(op{fd, flags, detail::source<B>(std::forward<B>(from))});
}

/// Keep alive: the message and everything it points at.
inline auto recvmsg(int fd, msghdr* message, unsigned flags = 0) {
  return operation(detail::recvmsg_op{fd, message, flags});
}

/// Keep alive: the message and everything it points at.
inline auto sendmsg(int fd, const msghdr* message, unsigned flags = 0) {
  return operation(detail::sendmsg_op{fd, message, flags});
}

/// Ends sending (SHUT_WR), receiving (SHUT_RD) or both (SHUT_RDWR): see shutdown(2). The call is
/// made as soon as it is awaited, because it does not block and the ring would wake a kernel thread
/// for it.
inline auto shutdown(int fd, int how) { return operation(detail::shutdown_op{fd, how}); }

}  // namespace rondo::io
