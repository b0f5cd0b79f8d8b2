// SPDX-License-Identifier: BSL-1.0
#pragma once

// All raw operations in one list, and the ways in which a test ends one.

#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <array>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "support/loop_test.hpp"

namespace rondo::test {

/// A file of ten digits, open for reading and writing.
struct digits {
  temporary_folder folder;
  std::string path = folder / "digits";
  descriptor file{::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
  digits() {
    if (::write(fd(), "0123456789", 10) != 10 || ::lseek(fd(), 0, SEEK_SET) != 0) {
      throw std::runtime_error("no file of digits");
    }
  }
  [[nodiscard]] int fd() const { return file.native_handle(); }
};

inline bool exists(const std::string& path) { return std::filesystem::exists(path); }
inline bool is_link(const std::string& path) { return std::filesystem::is_symlink(path); }
inline std::string text_in(const std::string& path) {
  std::string bytes(100, '\0');
  const descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t n = ::read(file.native_handle(), bytes.data(), bytes.size());
  return n >= 0 ? bytes.substr(0, static_cast<std::size_t>(n)) : "no file";
}
inline void put(const std::string& path, std::string_view content) {
  const descriptor file(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600));
  if (::write(file.native_handle(), content.data(), content.size()) !=
      static_cast<ssize_t>(content.size())) {
    throw std::system_error(errno, std::system_category(), path);
  }
}

inline struct stat status_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw std::system_error(errno, std::system_category(), path);
  }
  return status;
}

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

/// Starts something, cancels it some turns later, and tells whether it ended well or as canceled.
template <typename A>
task<bool> canceled_soon(A what, int turns) {
  auto running = spawn(code_of(std::move(what)));
  for (int i = 0; i < turns; ++i) co_await yield();
  running.cancel();
  const std::error_code code = co_await running;
  co_return !code || code == errc::canceled;
}

/// Visits every operation that can be refused: with its name, the error that its arguments lead to
/// when the kernel sees them, and a function that makes it.
template <typename Visit>
task<> each_operation(Visit visit) {
  std::array<char, 16> space{};
  const registered_buffers known(1, space.size());
  iovec part{space.data(), space.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const sockaddr_storage address{.ss_family = AF_INET, .__ss_padding = {}, .__ss_align = 0};
  const auto* const to = reinterpret_cast<const sockaddr*>(&address);
  const auto bad_descriptor = std::errc::bad_file_descriptor;
  co_await visit("read", bad_descriptor, [&] { return io::read(-1, space); });
  co_await visit("write", bad_descriptor, [] { return io::write(-1, "x"); });
  co_await visit("read", bad_descriptor, [&] { return io::read_fixed(-1, known[0]); });
  co_await visit("write", bad_descriptor, [&] { return io::write_fixed(-1, known[0]); });
  co_await visit("readv", bad_descriptor, [&] { return io::readv(-1, &part, 1); });
  co_await visit("writev", bad_descriptor, [&] { return io::writev(-1, &part, 1); });
  co_await visit("open /no/such/file", std::errc::no_such_file_or_directory,
                 [] { return io::openat(AT_FDCWD, "/no/such/file", O_RDONLY); });
  co_await visit("fsync", bad_descriptor, [] { return io::fsync(-1); });
  co_await visit("fallocate", bad_descriptor, [] { return io::fallocate(-1, 0, 0, 1); });
  co_await visit("ftruncate", bad_descriptor, [] { return io::ftruncate(-1, 0); });
  co_await visit("stat /no/such/file", std::errc::no_such_file_or_directory,
                 [] { return io::statx(AT_FDCWD, "/no/such/file"); });
  const char* const missing = "/no/such/file";
  const auto not_there = std::errc::no_such_file_or_directory;
  co_await visit("rename /no/such/file to /no/such/file", not_there, [missing] {
    return io::renameat(AT_FDCWD, missing, AT_FDCWD, missing);
  });
  co_await visit("remove /no/such/file", not_there,
                 [missing] { return io::unlinkat(AT_FDCWD, missing); });
  co_await visit("make directory /no/such/file", not_there,
                 [missing] { return io::mkdirat(AT_FDCWD, missing); });
  co_await visit("link /no/such/file to /no/such/file", not_there, [missing] {
    return io::linkat(AT_FDCWD, missing, AT_FDCWD, missing);
  });
  co_await visit("make link /no/such/file", not_there,
                 [missing] { return io::symlinkat("x", AT_FDCWD, missing); });
  co_await visit("getxattr /no/such/file", not_there,
                 [&, missing] { return io::getxattr(missing, "user.a", space); });
  co_await visit("setxattr /no/such/file", not_there,
                 [missing] { return io::setxattr(missing, "user.a", "x"); });
  co_await visit("fgetxattr", bad_descriptor, [&] { return io::fgetxattr(-1, "user.a", space); });
  co_await visit("fsetxattr", bad_descriptor, [] { return io::fsetxattr(-1, "user.a", "x"); });
  co_await visit("sync_file_range", bad_descriptor,
                 [] { return io::sync_file_range(-1, 0, 0, 0); });
  co_await visit("fadvise", bad_descriptor,
                 [] { return io::fadvise(-1, 0, 0, POSIX_FADV_NORMAL); });
  co_await visit("splice", bad_descriptor, [] { return io::splice(-1, -1, -1, -1, 1); });
  co_await visit("tee", bad_descriptor, [] { return io::tee(-1, -1, 1); });
  co_await visit("madvise", std::errc::invalid_argument,
                 [&] { return io::madvise(nullptr, 4096, 12345); });
  co_await visit("waitid", std::errc::no_child_process,
                 [] { return io::waitid(P_PID, static_cast<id_t>(::getpid())); });
  static const std::uint32_t word = 1;
  co_await visit("futex", std::errc::resource_unavailable_try_again,
                 [] { return io::futex_wait(&word, 0); });
  co_await visit("socket", std::errc::address_family_not_supported,
                 [] { return io::socket(12345, SOCK_STREAM); });
  co_await visit("connect", bad_descriptor,
                 [&] { return io::connect(-1, to, sizeof(sockaddr_in)); });
  co_await visit("bind", bad_descriptor, [&] { return io::bind(-1, to, sizeof(sockaddr_in)); });
  co_await visit("listen", bad_descriptor, [] { return io::listen(-1); });
  co_await visit("shutdown", bad_descriptor, [] { return io::shutdown(-1, SHUT_RDWR); });
  co_await visit("accept", bad_descriptor, [] { return io::accept(-1); });
  co_await visit("recv", bad_descriptor, [&] { return io::recv(-1, space); });
  co_await visit("send", bad_descriptor, [] { return io::send(-1, "x"); });
  co_await visit("send", bad_descriptor, [] { return io::send_zc(-1, "x"); });
  co_await visit("send", bad_descriptor, [&] { return io::send_zc_fixed(-1, known[0]); });
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
