// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What all sockets have in common: they own a descriptor, have options, and know both their ends.

#include <cerrno>
#include <cstring>
#include <string>
#include <sys/socket.h>
#include <system_error>
#include <type_traits>
#include <utility>

#include <rondo/io/close_owner.hpp>
#include <rondo/io/descriptor.hpp>
#include <rondo/net/endpoint.hpp>

namespace rondo::detail {

[[noreturn]] inline void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::system_category(), what);
}

class socket_base {
 public:
  /// The descriptor; -1 when there is none.
  [[nodiscard]] int native_handle() const noexcept { return fd_.native_handle(); }
  /// Gives the descriptor up without closing it.
  [[nodiscard]] int release() noexcept { return fd_.release(); }
  [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }

  /// setsockopt(2). Throws: std::system_error.
  template <typename T>
  void set_option(int level, int name, const T& value) {
    using whole = std::conditional_t<std::is_same_v<T, bool>, int, const T&>;  // no byte will do
    const whole given = value;
    if (::setsockopt(native_handle(), level, name, &given, sizeof given) != 0) {
      throw_errno("setsockopt");
    }
  }

  /// getsockopt(2). Throws: std::system_error.
  template <typename T>
  [[nodiscard]] T get_option(int level, int name) const {
    T value{};
    socklen_t length = sizeof value;
    if (::getsockopt(native_handle(), level, name, &value, &length) != 0) {
      throw_errno("getsockopt");
    }
    return value;
  }

  /// How many bytes the kernel may keep for the peer, and for us; it takes twice as much, for
  /// itself, and sets limits (socket(7)). Throws: std::system_error.
  void set_send_buffer(int bytes) { set_option(SOL_SOCKET, SO_SNDBUF, bytes); }
  void set_receive_buffer(int bytes) { set_option(SOL_SOCKET, SO_RCVBUF, bytes); }

  /// Throws: std::system_error.
  [[nodiscard]] endpoint local_endpoint() const { return ask(&::getsockname, "getsockname"); }

  /// Cancels what is in flight on the socket (it ends with errc::closed) and closes it. The
  /// destructor closes, too, but can neither cancel nor report.
  /// Canceled: no; what gives back is not canceled.
  auto close() & { return close_owner(fd_); }

 protected:
  socket_base() noexcept = default;
  explicit socket_base(descriptor fd) noexcept : fd_(std::move(fd)) {}

  template <typename F>
  [[nodiscard]] endpoint ask(F question, const char* name) const {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (question(native_handle(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
      throw_errno(name);
    }
    return endpoint::from_native(reinterpret_cast<sockaddr*>(&address), length);
  }

 private:
  descriptor fd_;
};

}  // namespace rondo::detail
