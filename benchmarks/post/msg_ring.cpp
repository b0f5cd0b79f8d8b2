// SPDX-License-Identifier: BSL-1.0

// The ping-pong with IORING_OP_MSG_RING: the wake-up goes out with the system call that sleeps.

#include "wake.hpp"

namespace {

class side {
 public:
  void wake(side& other) {
    io_uring_sqe* const e = ring_.entry();
    io_uring_prep_msg_ring(e, other.ring_.get()->ring_fd, 0, 0, 0);
    e->flags |= IOSQE_CQE_SKIP_SUCCESS;
  }
  void sleep() {
    ring_.turn([](const io_uring_cqe& cqe) { bench::check(cqe.res == 0, "a message"); });
  }
  /// Sends what is prepared, and does not sleep.
  void settle() { io_uring_submit(ring_.get()); }

 private:
  hand::raw_ring ring_;
};

}  // namespace

int main() { hand::ping_pong<side>("msg_ring"); }
