// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A message that was received into a buffer of a buffer_ring, and who has sent it: what
// udp_socket::receive_many gives.
//
//     auto messages = socket.receive_many(ring);
//     while (auto message = co_await messages.next()) {
//       co_await socket.send_to(message->view(), message->from());
//     }

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <type_traits>
#include <utility>

#include <rondo/io/buffer_ring.hpp>
#include <rondo/net/endpoint.hpp>
#include <rondo/net/receive_many.hpp>

namespace rondo {

namespace detail {
class receive_from_many_source;
}

/// Movable. The buffer goes back when it is dropped.
class datagram {
  friend detail::receive_from_many_source;
  static constexpr std::size_t ip_name = sizeof(sockaddr_in6);
  static constexpr std::size_t unix_name = 112;  // so that what follows is aligned
  static_assert(unix_name >= sizeof(sockaddr_un) && unix_name <= sizeof(sockaddr_storage));

 public:
  /// Bytes of a buffer that are not the message: the kernel's header, and the address.
  static constexpr std::size_t overhead = sizeof(io_uring_recvmsg_out) + ip_name;
  /// The same for a Unix socket, whose address is a path.
  static constexpr std::size_t unix_overhead = sizeof(io_uring_recvmsg_out) + unix_name;

  /// Who has sent it. Throws: std::invalid_argument, if that is neither an IP socket nor a Unix
  /// socket.
  [[nodiscard]] endpoint from() const {
    sockaddr_storage address{};
    std::memcpy(&address, chunk_.data() + sizeof(io_uring_recvmsg_out), name_room_);
    return endpoint::from_native(reinterpret_cast<const sockaddr*>(&address), header().namelen);
  }
  /// A message of 0 bytes is no end.
  [[nodiscard]] std::size_t size() const noexcept { return chunk_.size() - begin(); }
  [[nodiscard]] const char* data() const noexcept { return chunk_.data() + begin(); }
  [[nodiscard]] char* data() noexcept { return chunk_.data() + begin(); }
  [[nodiscard]] std::string_view view() const noexcept RONDO_LIFETIMEBOUND {
    return {data(), size()};
  }
  /// Whether it was longer than the buffer has room for.
  [[nodiscard]] bool is_truncated() const noexcept { return (header().flags & MSG_TRUNC) != 0; }
  operator const_buffer() const noexcept RONDO_LIFETIMEBOUND { return {data(), size()}; }

 private:
  datagram(buffer_ring::chunk chunk, std::size_t name_room) noexcept
      : chunk_(std::move(chunk)), name_room_(name_room) {}

  /// Where the message begins.
  [[nodiscard]] std::size_t begin() const noexcept {
    return sizeof(io_uring_recvmsg_out) + name_room_;
  }

  [[nodiscard]] io_uring_recvmsg_out header() const noexcept {
    io_uring_recvmsg_out h{};
    std::memcpy(&h, chunk_.data(), sizeof h);
    return h;
  }

  buffer_ring::chunk chunk_;
  std::size_t name_room_;
};

namespace detail {

template <>
struct owns_elements<datagram> : std::true_type {};

class receive_from_many_source : public receive_many_source {
 public:
  using value_type = datagram;
  static constexpr const char* name = "receive";

  receive_from_many_source(buffer_group_ref group, int fd) noexcept
      : receive_many_source(std::move(group), fd) {
    const std::size_t room = domain_of(fd) == AF_UNIX ? datagram::unix_name : datagram::ip_name;
    message_.msg_namelen = static_cast<socklen_t>(room);
  }
  void prepare(io_uring_sqe& e, int fd) noexcept {
    io_uring_prep_recvmsg_multishot(&e, fd, &message_, 0);
    e.ioprio |= IORING_RECVSEND_POLL_FIRST;  // whoever finds no buffer has something to receive
    choose_buffer(e);
  }
  [[nodiscard]] datagram take() noexcept {
    return datagram(receive_many_source::take(), message_.msg_namelen);
  }

 private:
  msghdr message_{};  // how much room the name gets
};

}  // namespace detail
}  // namespace rondo
