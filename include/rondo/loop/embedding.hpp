// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A loop inside another loop: Qt's, GLib's, a game's. They wait for descriptors, so the loop needs
// one that is readable exactly when `run_once` has something to do.
//
// The ring's own descriptor is not that: completions that are kept for the thread that asks for
// them do not wake whoever polls it, and it knows nothing of timers, which live in user space. So
// there is an epoll descriptor with two others in it: an eventfd, which the ring and other threads
// write to when there are completions and messages, and a timerfd, the alarm. At the end of each
// turn that somebody else asked for, the loop sets the alarm to its next timer, or to now if it has
// something left to do.

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <system_error>
#include <unistd.h>

#include <rondo/core/error.hpp>

namespace rondo::detail {

class embedding {
 public:
  static constexpr time_point at_once{};  // the clock begins when the machine does
  static constexpr time_point never = time_point::max();

  embedding() {
    watch(notices_.fd);
    watch(alarm_.fd);
  }
  embedding(const embedding&) = delete;
  embedding& operator=(const embedding&) = delete;

  /// Readable when the loop has something to do.
  [[nodiscard]] int native_handle() const noexcept { return all_.fd; }
  /// Another descriptor that is readable when there is something to do. Throws: std::system_error.
  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(all_.fd, EPOLL_CTL_ADD, fd, &event) != 0) {
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
  }

  /// The eventfd that is written to when completions or messages have come.
  [[nodiscard]] int notices() const noexcept { return notices_.fd; }

  /// Whatever has come has been seen.
  void hush() noexcept {
    std::uint64_t writes = 0;
    [[maybe_unused]] const auto read = ::read(notices_.fd, &writes, sizeof writes);
  }

  /// When to be readable even if nothing comes, by the real clock.
  void alarm(time_point when) noexcept {
    if (when == set_for_ && when != at_once) return;
    set_for_ = when;
    itimerspec spec{};  // all zero: no alarm
    if (when != never) {
      using namespace std::chrono;
      const auto since_boot = std::max<nanoseconds>(when.time_since_epoch(), nanoseconds(1));
      spec.it_value.tv_sec = duration_cast<seconds>(since_boot).count();
      spec.it_value.tv_nsec = (since_boot % seconds(1)).count();
    }
    ::timerfd_settime(alarm_.fd, TFD_TIMER_ABSTIME, &spec, nullptr);
  }

 private:
  struct owned {
    owned(int made, const char* call) : fd(made) {
      if (fd >= 0) return;
      const int error = errno;
      throw std::system_error(
          error, std::generic_category(),
          std::string(call) + (error == EMFILE || error == ENFILE
                                   ? " found no free descriptor: raise the limit on open files "
                                     "(ulimit -n)"
                                   : ""));
    }
    owned(const owned&) = delete;
    owned& operator=(const owned&) = delete;
    ~owned() { ::close(fd); }
    int fd;
  };

  owned all_{::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"};
  owned notices_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"};
  owned alarm_{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create"};
  time_point set_for_ = never;
};

}  // namespace rondo::detail
