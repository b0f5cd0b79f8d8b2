// SPDX-License-Identifier: BSL-1.0

// A heap with four children a node, and one wait with a timeout for all that is due within 50 us:
// rondo's default slack. No coroutines: what is due is counted. The limit.

#include "question.hpp"

#include "../support/raw_ring.hpp"

#include <algorithm>
#include <utility>

namespace {

struct timer {
  question::clock::time_point due;
  int* woken;
};

class heap {
 public:
  bool empty() const { return all_.empty(); }
  const timer& first() const { return all_.front(); }

  void push(timer t) {
    std::size_t at = all_.size();
    all_.push_back(t);
    for (; at > 0 && t.due < all_[(at - 1) / 4].due; at = (at - 1) / 4)
      all_[at] = all_[(at - 1) / 4];
    all_[at] = t;
  }
  timer pop() {
    const timer popped = all_.front();
    const timer last = all_.back();
    all_.pop_back();
    const std::size_t size = all_.size();
    std::size_t at = 0;
    for (std::size_t child; (child = at * 4 + 1) < size; at = child) {
      const std::size_t end = std::min(child + 4, size);
      for (std::size_t i = child + 1; i < end; ++i) {
        if (all_[i].due < all_[child].due) child = i;
      }
      if (last.due <= all_[child].due) break;
      all_[at] = all_[child];
    }
    if (size > 0) all_[at] = last;
    return popped;
  }

 private:
  std::vector<timer> all_;
};

void wait_until(hand::raw_ring& ring, question::clock::time_point due) {
  using namespace std::chrono;
  const long long left =
      std::max(0ns, duration_cast<nanoseconds>(due - question::clock::now())).count();
  __kernel_timespec timeout{left / 1'000'000'000, left % 1'000'000'000};
  io_uring_cqe* none;
  io_uring_submit_and_wait_timeout(ring.get(), &none, 1, &timeout, nullptr);
}

}  // namespace

int main() {
  constexpr auto slack = std::chrono::microseconds(50);
  hand::raw_ring ring;
  heap timers;
  for (const question::size& size : question::sizes) {
    const auto lengths = question::lengths(size.sleeps);
    bench::row row = question::row("raw", size);
    row.slow();
    while (row.again()) {
      int woken = 0;
      for (const auto length : lengths) timers.push({question::clock::now() + length, &woken});
      while (!timers.empty()) {
        wait_until(ring, timers.first().due + slack);
        const auto now = question::clock::now();
        while (!timers.empty() && timers.first().due <= now) ++*timers.pop().woken;
      }
      bench::check(woken == size.sleeps, "all wake");
    }
  }
}
