// SPDX-License-Identifier: BSL-1.0
#pragma once

// The limit for input and output: a ring set up as one thread that knows what it does would set it
// up, spoken to by liburing alone.

#include "bench.hpp"

#include <liburing.h>

#include <algorithm>
#include <chrono>

namespace hand {

class raw_ring {
 public:
  static constexpr unsigned entries = 256;

  raw_ring() {
    const int error = io_uring_queue_init(entries, &ring_,
                                          IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (error < 0) {
      std::fprintf(stderr, "io_uring_setup: %s\n", std::strerror(-error));
      bench::skip("needs io_uring of Linux 6.1");
    }
    bench::check(io_uring_register_ring_fd(&ring_) == 1, "the ring's descriptor is registered");
  }
  raw_ring(const raw_ring&) = delete;
  raw_ring& operator=(const raw_ring&) = delete;
  ~raw_ring() { io_uring_queue_exit(&ring_); }

  io_uring* get() noexcept { return &ring_; }

  /// An entry of the submission queue; submits those that are there if it is full.
  io_uring_sqe* entry() noexcept {
    io_uring_sqe* const e = io_uring_get_sqe(&ring_);
    if (e) return e;
    io_uring_submit(&ring_);
    return io_uring_get_sqe(&ring_);
  }

  /// One system call for all that was prepared, and to wait for so many completions, then `f(cqe)`
  /// for all that are there.
  template <typename F>
  void turn(F f, unsigned wait_for = 1) {
    io_uring_submit_and_wait(&ring_, wait_for);
    reap(f);
  }
  /// The same without waiting for anything.
  template <typename F>
  void look(F f) {
    io_uring_submit_and_get_events(&ring_);
    reap(f);
  }
  /// The same as turn(), but it waits until then at most.
  template <typename F>
  void turn_until(std::chrono::steady_clock::time_point latest, F f) {
    using namespace std::chrono;
    const long long left = std::max(0ns, nanoseconds(latest - steady_clock::now())).count();
    __kernel_timespec timeout{left / 1'000'000'000, left % 1'000'000'000};
    io_uring_cqe* first;
    io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
    reap(f);
  }

 private:
  template <typename F>
  void reap(F& f) {
    unsigned head;
    unsigned seen = 0;
    io_uring_cqe* cqe;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      f(*cqe);
      ++seen;
    }
    io_uring_cq_advance(&ring_, seen);
  }

  io_uring ring_;
};

}  // namespace hand
