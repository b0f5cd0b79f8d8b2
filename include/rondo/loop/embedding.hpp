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
#include <rondo/loop/own_descriptor.hpp>
#include <rondo/loop/timekeeper.hpp>

namespace rondo::detail {

class embedding {
 public:
  static constexpr time_point at_once = timekeeper::at_once;
  static constexpr time_point never = timekeeper::never;

  /// ring: a descriptor that tells of completions by itself, or -1. Throws: std::system_error.
  explicit embedding(int ring) {
    watch(notices_.get());
    watch(alarm_.get());
    if (ring >= 0) watch(ring);
  }
  embedding(const embedding&) = delete;
  embedding& operator=(const embedding&) = delete;

  /// Readable when the loop has something to do.
  [[nodiscard]] int native_handle() const noexcept { return all_.get(); }
  /// The eventfd that is written to when completions or messages have come.
  [[nodiscard]] int notices() const noexcept { return notices_.get(); }

  /// Whatever has come has been seen.
  void hush() noexcept {
    std::uint64_t writes = 0;
    [[maybe_unused]] const auto read = ::read(notices_.get(), &writes, sizeof writes);
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
    ::timerfd_settime(alarm_.get(), TFD_TIMER_ABSTIME, &spec, nullptr);
  }

 private:
  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(all_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
      throw std::system_error(errno, std::generic_category(), "epoll_ctl");
    }
  }

  own_descriptor all_{::epoll_create1(EPOLL_CLOEXEC), "epoll_create1"};
  own_descriptor notices_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"};
  own_descriptor alarm_{::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                        "timerfd_create"};
  time_point set_for_ = never;
};

}  // namespace rondo::detail
