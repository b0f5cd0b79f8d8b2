// SPDX-License-Identifier: BSL-1.0

// liburing and a loop. The limit.

#include "question.hpp"

#include "../support/hand_heap.hpp"
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

struct limited {
  std::size_t place;
};

/// The deadlines are in a heap, and the earliest of them limits the one wait. A limit counts from
/// the beginning of its operation, so each reads the clock.
void timeout_64(hand::raw_ring& ring) {
  hand::heap<hand::deadline<limited>> deadlines;
  std::vector<limited> operations(question::depth);
  const auto submit = [&](limited& operation) {
    io_uring_sqe* const sqe = ring.entry();
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, &operation);
    deadlines.push({question::clock::now() + question::limit, &operation});
  };
  int submitted = 0;
  int completed = 0;
  while (submitted < question::depth) submit(operations[static_cast<std::size_t>(submitted++)]);
  while (completed < question::together) {
    ring.turn_until(deadlines.first().due, [&](const io_uring_cqe& cqe) {
      auto& operation = *static_cast<limited*>(io_uring_cqe_get_data(&cqe));
      completed += cqe.res == 0;
      deadlines.erase(operation.place);
      if (submitted < question::together) {
        submit(operation);
        ++submitted;
      }
    });
    const auto now = question::clock::now();
    bench::check(deadlines.empty() || deadlines.first().due > now, "each in time");
  }
  bench::check(submitted == question::together && deadlines.empty(), "each of them once");
}

}  // namespace

int main() {
  hand::raw_ring ring;
  bench::row one = question::depth_1("raw");
  while (one.again()) depth_1(ring);
  bench::row many = question::depth_64("raw");
  while (many.again()) depth_64(ring);
  bench::row limited = question::timeout_64("raw");
  while (limited.again()) timeout_64(ring);
}
