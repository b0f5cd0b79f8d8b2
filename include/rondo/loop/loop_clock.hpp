// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What time it is for a loop: the steady clock's, or virtual.
//
// Code that waits is slow to test, and never exactly: an hour of retries takes an hour, and what
// happens "after about 10 ms" happens in whatever order the machine likes. Virtual time stands
// still while anything can run, and when nothing can, it jumps to the next timer.
//
//     rondo::run(an_hour_of_retries(), rondo::loop_options::virtual_time());   // a millisecond
//
// Beside its timers a loop waits for two kinds of things.
//   what ends by itself     an operation on a file, a call on a thread, an awaitable of another
//                           library. Time stands still until it has ended, however long that takes.
//   what may never end      an operation on a socket or a pipe, a poll, a oneshot. Time jumps when
//                           nothing has arrived for a moment of real time, the grace.
// Without either it jumps at once. Without a timer as well, nothing can happen any more: that is a
// deadlock, and event_loop::run reports it. What may interrupt a program at any moment (post, stop,
// a stop token) is not waited for.

#include <algorithm>
#include <chrono>
#include <sys/stat.h>

#include <rondo/core/error.hpp>
#include <rondo/loop/liburing.hpp>
#include <rondo/loop/options.hpp>

namespace rondo::detail {

class loop_clock {
 public:
  loop_clock(rondo::clock kind, std::chrono::nanoseconds grace) noexcept
      : virtual_(kind == rondo::clock::virtual_time), grace_(grace) {}

  [[nodiscard]] bool is_virtual() const noexcept { return virtual_; }
  [[nodiscard]] time_point now() const noexcept { return virtual_ ? now_ : real_now(); }
  [[nodiscard]] static time_point real_now() noexcept { return std::chrono::steady_clock::now(); }

  // The rest is for virtual time.

  void jump(time_point to) noexcept {
    now_ = std::max(now_, to);
    stir();
  }

  /// Something can run, or has arrived: the grace begins anew.
  void stir() noexcept { quiet_since_ = stirred; }

  /// Asked while nothing can run: the end of the grace, in real time.
  [[nodiscard]] time_point end_of_grace() noexcept {
    if (quiet_since_ == stirred) quiet_since_ = real_now();
    return grace_ < time_point::max() - quiet_since_ ? quiet_since_ + grace_ : time_point::max();
  }

 private:
  static constexpr time_point stirred = time_point::min();

  bool virtual_;
  std::chrono::nanoseconds grace_;
  time_point now_ = real_now();
  time_point quiet_since_ = stirred;
};

/// Whether an operation on this descriptor ends without anybody else's doing.
[[nodiscard]] inline bool never_waits(int fd) noexcept {
  struct ::stat status {};
  return ::fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode));
}

/// Whether the kernel will end what this entry asks for without anybody else's doing.
[[nodiscard]] inline bool ends_by_itself(const io_uring_sqe& entry) noexcept {
  // Newer than liburing 2.3; the numbers are the kernel's.
  constexpr int read_multishot = 49, waitid = 50, futex_wait = 51, futex_waitv = 53, recv_zc = 58,
                epoll_wait = 59, readv_fixed = 60, writev_fixed = 61;
  switch (entry.opcode) {
    case IORING_OP_POLL_ADD:
    case IORING_OP_ACCEPT:
    case IORING_OP_CONNECT:
    case IORING_OP_SEND:
    case IORING_OP_SENDMSG:
    case IORING_OP_SEND_ZC:
    case IORING_OP_SENDMSG_ZC:
    case IORING_OP_RECV:
    case IORING_OP_RECVMSG:
    case IORING_OP_SPLICE:
    case IORING_OP_TEE:
    case IORING_OP_URING_CMD:
    case read_multishot:
    case waitid:
    case futex_wait:
    case futex_waitv:
    case recv_zc:
    case epoll_wait:
      return false;
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_WRITE_FIXED:
    case readv_fixed:
    case writev_fixed:
      return (entry.flags & IOSQE_FIXED_FILE) == 0 && never_waits(entry.fd);
    default:
      return true;
  }
}

}  // namespace rondo::detail
