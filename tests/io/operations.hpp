// SPDX-License-Identifier: BSL-1.0
#pragma once

// All raw operations in one list, and the ways in which a test ends one.

#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <utility>

#include "support/loop_test.hpp"

namespace rondo::test {

/// Starts something, cancels it once the kernel has it, and tells how it ended.
template <typename A>
task<std::error_code> canceled_in_flight(A what) {
  auto running = spawn(code_of(std::move(what)));
  co_await round_trip();
  CHECK_FALSE(running.done());
  running.cancel();
  co_return co_await running;
}

/// Starts something where cancellation came first, and tells how it ended.
template <typename A>
task<std::error_code> in_canceled_scope(A what) {
  auto running = spawn(code_of(std::move(what)));
  running.cancel();
  co_return co_await running;
}

/// Visits every operation that can be refused: with its name, the error that its arguments lead to
/// when the kernel sees them, and a function that makes it.
template <typename Visit>
task<> each_operation(Visit visit) {
  std::array<char, 16> space{};
  iovec part{space.data(), space.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const sockaddr_storage address{.ss_family = AF_INET, .__ss_padding = {}, .__ss_align = 0};
  const auto* const to = reinterpret_cast<const sockaddr*>(&address);
  const auto bad_descriptor = std::errc::bad_file_descriptor;
  co_await visit("read", bad_descriptor, [&] { return io::read(-1, space); });
  co_await visit("write", bad_descriptor, [] { return io::write(-1, "x"); });
  co_await visit("readv", bad_descriptor, [&] { return io::readv(-1, &part, 1); });
  co_await visit("writev", bad_descriptor, [&] { return io::writev(-1, &part, 1); });
  co_await visit("open /no/such/file", std::errc::no_such_file_or_directory,
                 [] { return io::openat(AT_FDCWD, "/no/such/file", O_RDONLY); });
  co_await visit("fsync", bad_descriptor, [] { return io::fsync(-1); });
  co_await visit("fallocate", bad_descriptor, [] { return io::fallocate(-1, 0, 0, 1); });
  co_await visit("ftruncate", bad_descriptor, [] { return io::ftruncate(-1, 0); });
  co_await visit("stat /no/such/file", std::errc::no_such_file_or_directory,
                 [] { return io::statx(AT_FDCWD, "/no/such/file"); });
  co_await visit("socket", std::errc::address_family_not_supported,
                 [] { return io::socket(12345, SOCK_STREAM); });
  co_await visit("connect", bad_descriptor,
                 [&] { return io::connect(-1, to, sizeof(sockaddr_in)); });
  co_await visit("accept", bad_descriptor, [] { return io::accept(-1); });
  co_await visit("recv", bad_descriptor, [&] { return io::recv(-1, space); });
  co_await visit("send", bad_descriptor, [] { return io::send(-1, "x"); });
  co_await visit("recvmsg", bad_descriptor, [&] { return io::recvmsg(-1, &message); });
  co_await visit("sendmsg", bad_descriptor, [&] { return io::sendmsg(-1, &message); });
  co_await visit("poll", bad_descriptor, [] { return io::poll(-1, POLLIN); });
}

/// Bytes that wait in a pipe or socket.
inline std::string waiting_in(int fd) {
  std::string all(100'000, '\0');
  const int flags = ::fcntl(fd, F_GETFL);
  ::fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  const ssize_t n = ::read(fd, all.data(), all.size());
  ::fcntl(fd, F_SETFL, flags);
  all.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return all;
}

}  // namespace rondo::test
