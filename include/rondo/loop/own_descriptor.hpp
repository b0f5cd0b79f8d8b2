// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A descriptor that a loop makes for itself: an eventfd, an epoll, a timerfd.

#include <cerrno>
#include <string>
#include <system_error>
#include <unistd.h>

namespace rondo::detail {

class own_descriptor {
 public:
  /// made: what the call of this name has returned. Throws: std::system_error that says what to do,
  /// if it has failed.
  own_descriptor(int made, const char* call) : fd_(made) {
    if (made >= 0) return;
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
