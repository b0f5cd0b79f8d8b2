// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Open descriptors as a part of a message (SCM_RIGHTS, unix(7)): a parent that hands connections to
// workers, a service that opens files for those who may not.
//
//     const int fds[] = {file.native_handle()};
//     co_await peer.send_descriptors("here it is", fds);
//
//     rondo::received_descriptors r = co_await peer.receive_descriptors(buffer);
//     rondo::file f = rondo::file::adopt(r.descriptors.at(0).release());
//
// What arrives is owned from the first moment: descriptors that nobody takes are closed.

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <rondo/io/buffer.hpp>
#include <rondo/io/descriptor.hpp>
#include <rondo/io/operation.hpp>

namespace rondo {

struct received_descriptors {
  std::size_t size;                     // how many bytes came with them; 0: the end
  std::vector<descriptor> descriptors;  // they close on exec
  bool truncated = false;  // more came than this process may have open (EMFILE): they are lost
};

// Implementation

namespace detail {

/// As many as one message carries: SCM_MAX_FD of the kernel.
inline constexpr std::size_t most_descriptors = 253;

/// The part of a message that carries descriptors.
class control_message {
 public:
  /// False: there are too many.
  [[nodiscard]] bool put(std::span<const int> fds) noexcept {
    if (fds.size() > most_descriptors) return false;
    if (fds.empty()) return true;
    size_ = CMSG_SPACE(fds.size_bytes());
    cmsghdr header{};
    header.cmsg_level = SOL_SOCKET;
    header.cmsg_type = SCM_RIGHTS;
    header.cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(space_.data(), &header, sizeof header);
    std::memcpy(space_.data() + CMSG_LEN(0), fds.data(), fds.size_bytes());
    return true;
  }
  void give_to(msghdr& message) noexcept {
    message.msg_control = size_ != 0 ? space_.data() : nullptr;
    message.msg_controllen = size_;
  }
  /// To be filled by the kernel. Zeros, so that what it does not fill is no message.
  void give_empty_to(msghdr& message) noexcept {
    message.msg_control = space_.data();
    message.msg_controllen = space_.size();
  }

  /// Calls f(fd) for each descriptor that has arrived.
  template <typename F>
  void for_each(F f) const {
    cmsghdr header;
    for (std::size_t at = 0; at + CMSG_LEN(0) <= space_.size(); at += CMSG_ALIGN(header.cmsg_len)) {
      std::memcpy(&header, space_.data() + at, sizeof header);
      if (header.cmsg_len < CMSG_LEN(0)) return;
      if (header.cmsg_level != SOL_SOCKET || header.cmsg_type != SCM_RIGHTS) continue;
      const std::size_t count = (header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int fd = -1;
        std::memcpy(&fd, space_.data() + at + CMSG_LEN(i * sizeof fd), sizeof fd);
        f(fd);
      }
    }
  }
  void clear() noexcept { space_ = {}; }

 private:
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(most_descriptors * sizeof(int))> space_{};
  std::size_t size_ = 0;
};

template <typename Source>
struct send_descriptors_op {
  using value_type = void;
  static constexpr const char* name = "send descriptors";

  send_descriptors_op(int to, Source&& bytes, std::span<const int> fds)
      : fd(to), from(std::move(bytes)), fits(control.put(fds)) {}

  [[nodiscard]] int before() const noexcept {
    return fits && const_buffer(from).size() != 0 ? 0 : -EINVAL;
  }
  void prepare(io_uring_sqe& e) noexcept {
    const const_buffer rest = const_buffer(from).after(done);
    part = {const_cast<void*>(rest.data()), rest.size()};
    message = {};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (done == 0) control.give_to(message);
    io_uring_prep_sendmsg(&e, fd, &message, MSG_NOSIGNAL);
  }
  bool again(int& result) noexcept {
    if (result <= 0) return false;
    done += static_cast<std::size_t>(result);
    return done < const_buffer(from).size();
  }

 private:
  int fd;
  Source from;
  control_message control;
  bool fits;
  std::size_t done = 0;
  iovec part{};
  msghdr message{};
};

struct receive_descriptors_op {
  using value_type = received_descriptors;
  static constexpr const char* name = "receive descriptors";

  receive_descriptors_op(int from, mutable_buffer space) noexcept : fd(from), to(space) {}
  receive_descriptors_op(receive_descriptors_op&&) noexcept = default;  // only before it starts
  receive_descriptors_op& operator=(receive_descriptors_op&&) = delete;
  ~receive_descriptors_op() {
    control.for_each([](int arrived) { const descriptor closes_it(arrived); });
  }

  void prepare(io_uring_sqe& e) noexcept {
    part = {to.data(), to.size()};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    control.give_empty_to(message);
    io_uring_prep_recvmsg(&e, fd, &message, MSG_CMSG_CLOEXEC);
  }
  [[nodiscard]] received_descriptors value(int result) {
    received_descriptors all{static_cast<std::size_t>(result), {}};
    all.truncated = (message.msg_flags & MSG_CTRUNC) != 0;
    std::size_t count = 0;
    control.for_each([&count](int) { ++count; });
    all.descriptors.reserve(count);
    control.for_each([&all](int arrived) { all.descriptors.emplace_back(arrived); });
    control.clear();
    return all;
  }

 private:
  int fd;
  mutable_buffer to;
  control_message control;
  iovec part{};
  msghdr message{};
};

}  // namespace detail
}  // namespace rondo
