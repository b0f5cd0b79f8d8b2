// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A process that was started, apart from who looks after it: it is held by a `process`, then, if
// that is dropped before the child has ended, by the loop, and after the loop by a list that
// everybody who starts a process goes through. So a child that has ended does not stay a zombie,
// and nobody waits for one.
//
//   held by a process -> dropped -> the loop is told of its end -> reaped, freed
//                               `-> no loop, or it has ended -> left over -> reaped at a later spawn

#include <cerrno>
#include <csignal>
#include <memory>
#include <mutex>
#include <poll.h>
#include <string>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <rondo/io/descriptor.hpp>
#include <rondo/loop/event_loop.hpp>

namespace rondo::detail {

class child_process : in_flight {
 public:
  child_process() noexcept : in_flight(kind) {}
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;

  /// Takes over a child that nobody has waited for. Its pidfd is readable when it has ended.
  /// Gives 0 or an errno.
  [[nodiscard]] int adopt(pid_t child) noexcept {
    pid_ = child;
    pidfd_ = descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    if (pidfd_) return 0;
    if (errno != ESRCH) return errno;
    error_ = ECHILD;  // it has ended, and the system has reaped it, because SIGCHLD is ignored
    ended_ = true;
    return 0;
  }
  [[nodiscard]] pid_t pid() const noexcept { return pid_; }
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.native_handle(); }

  /// True when it has ended, and has been taken from the system's table. The pidfd stays: others
  /// may be waiting for it.
  [[nodiscard]] bool reap() noexcept {
    if (ended_) return true;
    siginfo_t info{};
    constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD, Linux 5.4
    if (::waitid(by_pidfd, static_cast<id_t>(pidfd()), &info, WEXITED | WNOHANG) != 0) {
      error_ = errno;  // ECHILD: somebody else has reaped it
    } else if (info.si_pid == 0) {
      return false;
    } else {
      exit_code_ = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    }
    return ended_ = true;
  }
  /// Once it was reaped: the exit code, or -N after signal N. Throws: std::system_error, ECHILD, if
  /// somebody else has reaped it.
  [[nodiscard]] int exit_code() const {
    if (error_ != 0) {
      throw std::system_error(error_, std::system_category(),
                              "wait for process " + std::to_string(pid_));
    }
    return exit_code_;
  }

  /// Does nothing to one that was reaped: its number may be somebody else's. Throws:
  /// std::system_error.
  void signal(int number) const {
    if (ended_) return;
    const long result = ::syscall(SYS_pidfd_send_signal, pidfd_.native_handle(), number, nullptr, 0);
    if (result != 0 && errno != ESRCH) {
      throw std::system_error(errno, std::system_category(),
                              "signal " + std::to_string(number) + " to process " +
                                  std::to_string(pid_));
    }
  }

  /// Nobody looks after it any more.
  struct leave {
    void operator()(child_process* child) const noexcept { child->leave_it(); }
  };

  /// Reaps those that have ended since they were left over.
  static void reap_left_over() noexcept {
    const std::lock_guard lock(left_over_mutex);
    for (child_process** at = &left_over; *at != nullptr;) {
      child_process* const child = *at;
      if (child->reap()) {
        *at = child->next_;
        delete child;
      } else {
        at = &child->next_;
      }
    }
  }

 private:
  ~child_process() = default;

  void leave_it() noexcept {
    if (reap()) {
      delete this;
    } else if (running_loop == nullptr || !wait_in(static_cast<event_loop&>(*running_loop))) {
      keep();
    }
  }
  [[nodiscard]] bool wait_in(event_loop& loop) noexcept {
    if (loop.winds_up()) return false;
    io_uring_sqe* const entry = loop.reserve();
    if (entry == nullptr) return false;
    io_uring_prep_poll_add(entry, pidfd(), POLLIN);
    loop.launch(*entry, *this);
    return true;
  }
  /// The end of the process, or of the loop.
  static void told(in_flight& self, int, std::uint32_t) noexcept {
    auto& child = static_cast<child_process&>(self);
    child.unlink();
    if (child.reap()) {
      delete &child;
    } else {
      child.keep();
    }
  }
  static constexpr flight_kind kind{{}, &told};
  void keep() noexcept {
    const std::lock_guard lock(left_over_mutex);
    next_ = std::exchange(left_over, this);
  }

  inline static std::mutex left_over_mutex;
  inline static child_process* left_over = nullptr;

  pid_t pid_ = -1;
  descriptor pidfd_;
  int exit_code_ = 0;
  int error_ = 0;
  bool ended_ = false;
  child_process* next_ = nullptr;
};

using child_handle = std::unique_ptr<child_process, child_process::leave>;

}  // namespace rondo::detail
