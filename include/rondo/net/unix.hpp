// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Unix sockets: streams between processes of one machine, at a path instead of a port.
//
//     auto listener = rondo::unix_listener::bind(rondo::endpoint::unix_path("/run/app.sock"));
//     rondo::unix_stream peer = co_await listener.accept();
//
//     auto [parent, child] = rondo::socket_pair();           // two that are connected
//
// Besides bytes they carry open descriptors from one process to another: net/descriptor_passing.hpp.

#include <cerrno>
#include <fcntl.h>
#include <span>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <rondo/io/operation.hpp>
#include <rondo/io/ops/net.hpp>
#include <rondo/net/accept_many.hpp>
#include <rondo/net/descriptor_passing.hpp>
#include <rondo/net/endpoint.hpp>
#include <rondo/net/socket.hpp>
#include <rondo/net/stream_socket.hpp>
#include <rondo/net/tcp.hpp>

namespace rondo {

namespace detail {
struct connect_unix_op;
}

/// How it is read and written: net/stream_socket.hpp.
class unix_stream : public detail::stream_socket {
 public:
  unix_stream() noexcept = default;
  /// Takes over a connected socket that somebody else made.
  [[nodiscard]] static unix_stream adopt(int fd) noexcept { return unix_stream(descriptor(fd)); }
  static unix_stream adopt(const descriptor&) = delete;  // it has an owner: release() it

  /// Connects; waits while the listener has no room. Canceled: the attempt is given up.
  /// Throws: std::system_error that names the endpoint.
  [[nodiscard]] static io::operation<detail::connect_unix_op> connect(const endpoint& peer);

  /// Writes all bytes, at least one, and sends descriptors with the first of them: the peer gets
  /// descriptors of its own for the same open files. Keep alive: the bytes, unless they are given
  /// away, and the descriptors. Canceled half-way: how much went is lost.
  /// Throws: std::system_error; EINVAL without bytes or with more than 253 descriptors.
  template <detail::source_of_bytes B>
  auto send_descriptors(B&& bytes, std::span<const int> descriptors) & {
    using op = detail::send_descriptors_op<detail::source<B>>;
    return io::operation<op>(
        op(native_handle(), detail::source<B>(std::forward<B>(bytes)), descriptors));
  }

  /// Reads what there is, and the descriptors that came with it. What `read` meets instead is
  /// closed. Gives: received_descriptors; a size of 0 is the end.
  /// Keep alive: the buffer. Canceled: descriptors that come all the same are delivered or closed.
  auto receive_descriptors(mutable_buffer to) & {
    return io::operation<detail::receive_descriptors_op>(
        detail::receive_descriptors_op(native_handle(), to));
  }

  /// Who is at the other end: the process that connected or listened, as it was then (unix(7)).
  /// Throws: std::system_error.
  [[nodiscard]] ucred peer_credentials() const {
    return get_option<ucred>(SOL_SOCKET, SO_PEERCRED);
  }

 private:
  explicit unix_stream(descriptor fd) noexcept : stream_socket(std::move(fd)) {}
};

/// A trivial aggregate: safe inside a co_await expression on every compiler.
struct unix_listen_options {
  bool replace = false;     // a socket that is at the path already, left by somebody who is gone
  int backlog = SOMAXCONN;  // connections that wait to be accepted
};

/// The path stays when the listener is closed; whoever made it may remove it.
class unix_listener : public detail::socket_base {
 public:
  unix_listener() noexcept = default;
  [[nodiscard]] static unix_listener adopt(int fd) noexcept {
    return unix_listener(descriptor(fd));
  }
  static unix_listener adopt(const descriptor&) = delete;  // it has an owner: release() it

  /// Binds and listens: a plain call, which does not wait. Throws: std::system_error that names the
  /// path.
  [[nodiscard]] static unix_listener bind(const endpoint& at, unix_listen_options options = {});

  /// Waits for the next peer. Canceled: a connection that arrives all the same is delivered or
  /// closed.
  auto accept() & { return io::operation(detail::accept_op<unix_stream>{native_handle()}); }

  /// Peer after peer: see tcp_listener::accept_many.
  [[nodiscard]] io::multishot<detail::accept_many_source<unix_stream>> accept_many() & {
    using source = detail::accept_many_source<unix_stream>;
    return io::multishot<source>(native_handle(), source());
  }

 private:
  explicit unix_listener(descriptor fd) noexcept : socket_base(std::move(fd)) {}
};

/// Two streams that are connected to each other. Programs that are run do not inherit them.
/// Throws: std::system_error.
[[nodiscard]] inline std::pair<unix_stream, unix_stream> socket_pair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    detail::throw_errno("socketpair");
  }
  return {unix_stream::adopt(fds[0]), unix_stream::adopt(fds[1])};
}

// Implementation

namespace detail {

/// A listener that has no room refuses a socket that does not block, with EAGAIN, and nothing tells
/// when it has. One that blocks waits.
struct connect_unix_op : connect_stream_op<unix_stream> {
  bool again(int& result) noexcept {
    if (result != -EAGAIN || waits) return false;
    waits = ::fcntl(fd.native_handle(), F_SETFL, 0) == 0;
    return waits;
  }
  bool waits = false;
};

}  // namespace detail

inline io::operation<detail::connect_unix_op> unix_stream::connect(const endpoint& peer) {
  return io::operation<detail::connect_unix_op>(detail::connect_unix_op{{peer}});
}

inline unix_listener unix_listener::bind(const endpoint& at, unix_listen_options options) {
  const auto failed = [&at](const char* call) {
    detail::throw_errno(std::string(call) + " " + to_string(at));
  };
  const bool has_path = reinterpret_cast<const sockaddr_un*>(at.native())->sun_path[0] != '\0';
  if (options.replace && has_path) {
    const std::string path = at.address();
    struct stat status {};
    if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode)) ::unlink(path.c_str());
  }
  // Not blocking is for the epoll backend; io_uring does not mind.
  unix_listener listener(
      descriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)));
  if (!listener) failed("socket for");
  if (::bind(listener.native_handle(), at.native(), at.native_size()) != 0) failed("bind to");
  if (::listen(listener.native_handle(), options.backlog) != 0) failed("listen on");
  return listener;
}

}  // namespace rondo
