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
  static constexpr std::size_t name_room = 112;  // of a Unix socket, and what follows is aligned
  static_assert(name_room >= sizeof(sockaddr_un) && name_room <= sizeof(sockaddr_storage));

 public:
  /// Bytes of a buffer that are not the message: the kernel's header, and the address.
  static constexpr std::size_t overhead = sizeof(io_uring_recvmsg_out) + name_room;

  /// Who has sent it. Throws: std::invalid_argument, if that is neither an IP socket nor a Unix
  /// socket.
  [[nodiscard]] endpoint from() const {
    sockaddr_storage address{};
    std::memcpy(&address, chunk_.data() + sizeof(io_uring_recvmsg_out), name_room);
    return endpoint::from_native(reinterpret_cast<const sockaddr*>(&address), header().namelen);
  }
  /// A message of 0 bytes is no end.
  [[nodiscard]] std::size_t size() const noexcept { return chunk_.size() - overhead; }
  [[nodiscard]] const char* data() const noexcept { return chunk_.data() + overhead; }
  [[nodiscard]] char* data() noexcept { return chunk_.data() + overhead; }
  [[nodiscard]] std::string_view view() const noexcept RONDO_LIFETIMEBOUND {
    return {data(), size()};
  }
  /// Whether it was longer than the buffer has room for.
  [[nodiscard]] bool is_truncated() const noexcept { return (header().flags & MSG_TRUNC) != 0; }
  operator const_buffer() const noexcept RONDO_LIFETIMEBOUND { return {data(), size()}; }

 private:
  explicit datagram(buffer_ring::chunk chunk) noexcept : chunk_(std::move(chunk)) {}

  [[nodiscard]] io_uring_recvmsg_out header() const noexcept {
    io_uring_recvmsg_out h{};
    std::memcpy(&h, chunk_.data(), sizeof h);
    return h;
  }

  buffer_ring::chunk chunk_;
};

namespace detail {

template <>
struct owns_elements<datagram> : std::true_type {};

class receive_from_many_source : public receive_many_source {
 public:
  using value_type = datagram;
  static constexpr const char* name = "receive";

  explicit receive_from_many_source(buffer_group_ref group) noexcept
      : receive_many_source(std::move(group)) {
    message_.msg_namelen = datagram::name_room;
  }
  void prepare(io_uring_sqe& e, int fd) noexcept {
    io_uring_prep_recvmsg_multishot(&e, fd, &message_, 0);
    choose_buffer(e);
  }
  [[nodiscard]] datagram take() noexcept { return datagram(receive_many_source::take()); }

 private:
  msghdr message_{};  // how much room the name gets
};

}  // namespace detail
}  // namespace rondo
