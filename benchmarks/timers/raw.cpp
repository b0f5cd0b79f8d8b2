// SPDX-License-Identifier: BSL-1.0

// A heap with four children a node, and one wait with a timeout for all that is due within 50 us:
// rondo's default slack. No coroutines: what is due is counted. The limit.

#include "question.hpp"

#include "../support/hand_heap.hpp"
#include "../support/raw_ring.hpp"

namespace {

struct timer {
  question::clock::time_point due;
  int* woken;
  void moved_to(std::size_t) const {}
};

struct sleeper {
  std::size_t place;
  bool canceled = false;
};

void cancel() {
  bench::row row = question::cancel_operations("raw");
  while (row.again()) {
    hand::heap<hand::deadline<sleeper>> timers;
    std::vector<sleeper> sleepers(question::canceled);
    for (sleeper& s : sleepers) {
      timers.push({question::clock::now() + std::chrono::hours(1), &s});
    }
    row.begin();
    int canceled = 0;
    for (sleeper& s : sleepers) {
      timers.erase(s.place);
      s.canceled = true;
      ++canceled;
    }
    bench::check(canceled == question::canceled && timers.empty(), "all were canceled");
  }
}

class sleeping {
 public:
  void operator()(const std::vector<std::chrono::microseconds>& lengths) {
    constexpr auto slack = std::chrono::microseconds(50);
    int woken = 0;
    for (const auto length : lengths) timers_.push({question::clock::now() + length, &woken});
    while (!timers_.empty()) {
      ring_.turn_until(timers_.first().due + slack, [](const io_uring_cqe&) {});
      const auto now = question::clock::now();
      while (!timers_.empty() && timers_.first().due <= now) ++*timers_.pop().woken;
    }
    bench::check(woken == static_cast<int>(lengths.size()), "all wake");
  }

 private:
  hand::raw_ring ring_;
  hand::heap<timer> timers_;
};

}  // namespace

int main() {
  question::memory("raw", [](const auto& lengths) { sleeping()(lengths); });
  cancel();
  sleeping sleep;
  for (const question::size& size : question::sizes) {
    const auto lengths = question::lengths(size.sleeps);
    bench::row row = question::row("raw", size);
    row.slow();
    while (row.again()) sleep(lengths);
  }
}
