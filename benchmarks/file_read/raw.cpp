// SPDX-License-Identifier: BSL-1.0

// liburing and a loop. The limit.

#include "question.hpp"

#include "../support/raw_ring.hpp"

namespace {

void submit_read(hand::raw_ring& ring, int fd, question::places& places, unsigned at, int n) {
  io_uring_sqe* const sqe = ring.entry();
  io_uring_prep_read(sqe, fd, places[at].bytes, question::block,
                     static_cast<__u64>(question::block) * static_cast<__u64>(question::block_of(n)));
  io_uring_sqe_set_data64(sqe, at);
}

void reads(hand::raw_ring& ring, int fd, int depth, int count) {
  static question::places places(128);
  int submitted = 0;
  int completed = 0;
  long sum = 0;
  while (submitted < depth) {
    submit_read(ring, fd, places, static_cast<unsigned>(submitted), submitted);
    ++submitted;
  }
  while (completed < count) {
    ring.turn([&](const io_uring_cqe& cqe) {
      bench::check(cqe.res == question::block, "a read brings a block");
      const auto at = static_cast<unsigned>(cqe.user_data);
      sum += question::number_in(places[at].bytes);
      ++completed;
      if (submitted < count) submit_read(ring, fd, places, at, submitted++);
    });
  }
  question::check_sum(sum, count);
}

}  // namespace

int main() {
  const question::file_in_memory file;
  hand::raw_ring ring;
  bench::row one = question::depth_1("raw");
  while (one.again()) reads(ring, file.fd(), 1, question::alone);
  bench::row some = question::depth_32("raw");
  while (some.again()) reads(ring, file.fd(), 32, question::together);
  bench::row many = question::depth_128("raw");
  while (many.again()) reads(ring, file.fd(), 128, question::together);
}
