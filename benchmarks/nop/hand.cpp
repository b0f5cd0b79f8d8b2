// SPDX-License-Identifier: BSL-1.0

// The least coroutines over liburing.

#include "question.hpp"

#include "../support/hand_task.hpp"
#include "../support/raw_ring.hpp"

namespace {

template <typename T>
using task = hand::task<T, hand::pooled_frames>;

/// One operation, in the frame of who awaits it; its address is the entry's user_data.
class [[nodiscard]] nop {
 public:
  explicit nop(hand::raw_ring& ring) noexcept : ring_(ring) {}

  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    waiter_ = self;
    io_uring_sqe* const sqe = ring_.entry();
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data(sqe, this);
  }
  int await_resume() noexcept { return result_; }

  void complete(int result) {
    result_ = result;
    waiter_.resume();
  }

 private:
  hand::raw_ring& ring_;
  std::coroutine_handle<> waiter_;
  int result_ = 0;
};

task<int> repeat(hand::raw_ring& ring, int times) {
  int succeeded = 0;
  for (int i = 0; i < times; ++i) {
    const int result = co_await nop(ring);
    succeeded += result == 0;
  }
  co_return succeeded;
}

task<int> ask(hand::raw_ring& ring) {
  bench::row one = question::depth_1("hand");
  while (one.again()) {
    const int completed = co_await repeat(ring, question::alone);
    bench::check(completed == question::alone, "as many completions as operations");
  }

  bench::row many = question::depth_64("hand");
  while (many.again()) {
    std::vector<task<int>> workers;
    for (int i = 0; i < question::depth; ++i) workers.push_back(repeat(ring, question::each));
    auto ended = co_await hand::when_all(std::move(workers));
    int completed = 0;
    for (auto& worker : ended) completed += worker.take();
    bench::check(completed == question::together, "as many completions as operations");
  }
  co_return 0;
}

}  // namespace

int main() {
  hand::raw_ring ring;
  task<int> root = ask(ring);
  root.get().promise().waiter = std::noop_coroutine();
  root.get().resume();
  while (!root.get().done())
    ring.turn([](const io_uring_cqe& cqe) {
      static_cast<nop*>(io_uring_cqe_get_data(&cqe))->complete(cqe.res);
    });
  return root.take();
}
