// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A descriptor that a loop makes for itself: an eventfd, an epoll, a timerfd; and the ring's.

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <system_error>
#include <unistd.h>

namespace rondo::detail {

/// Another number for a descriptor that has that of the standard input, output or error: in a program
/// that was started without those, what reads and prints would use it. -1 and errno: none is free.
[[nodiscard]] inline int out_of_the_way(int made) noexcept {
  if (made < 0 || made > STDERR_FILENO) return made;
  const int moved = ::fcntl(made, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(made);
  errno = error;
  return moved;
}

class own_descriptor {
 public:
  /// made: what the call of this name has returned. Throws: std::system_error that says what to do,
  /// if it has failed.
  own_descriptor(int made, const char* call) : fd_(out_of_the_way(made)) {
    if (fd_ >= 0) return;
    const int error = errno;
    const bool none_free = error == EMFILE || error == ENFILE;
    const char* const advice =
        none_free ? " found no free descriptor: raise the limit on open files (ulimit -n)" : "";
    throw std::system_error(error, std::generic_category(), std::string(call) + advice);
  }
  own_descriptor(const own_descriptor&) = delete;
  own_descriptor& operator=(const own_descriptor&) = delete;
  ~own_descriptor() { ::close(fd_); }

  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace rondo::detail
