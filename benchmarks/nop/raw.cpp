// SPDX-License-Identifier: BSL-1.0

// liburing and a loop. The limit.

#include "question.hpp"

#include "../support/raw_ring.hpp"

namespace {

void submit_nop(hand::raw_ring& ring, int number) {
  io_uring_sqe* const sqe = ring.entry();
  io_uring_prep_nop(sqe);
  io_uring_sqe_set_data64(sqe, static_cast<__u64>(number));
}

void depth_1(hand::raw_ring& ring) {
  int completed = 0;
  long numbers = 0;
  for (int i = 0; i < question::alone; ++i) {
    submit_nop(ring, i);
    ring.turn([&](const io_uring_cqe& cqe) {
      completed += cqe.res == 0;
      numbers += static_cast<long>(cqe.user_data);
    });
  }
  bench::check(completed == question::alone, "as many completions as operations");
  bench::check(numbers == long{question::alone} * (question::alone - 1) / 2, "each of them once");
}

void depth_64(hand::raw_ring& ring) {
  int submitted = 0;
  int completed = 0;
  long numbers = 0;
  while (submitted < question::depth) submit_nop(ring, submitted++);
  while (completed < question::together) {
    ring.turn([&](const io_uring_cqe& cqe) {
      completed += cqe.res == 0;
      numbers += static_cast<long>(cqe.user_data);
      if (submitted < question::together) submit_nop(ring, submitted++);
    });
  }
  bench::check(submitted == question::together, "as many completions as operations");
  bench::check(numbers == long{question::together} * (question::together - 1) / 2,
               "each of them once");
}

}  // namespace

int main() {
  hand::raw_ring ring;
  bench::row one = question::depth_1("raw");
  while (one.again()) depth_1(ring);
  bench::row many = question::depth_64("raw");
  while (many.again()) depth_64(ring);
}
