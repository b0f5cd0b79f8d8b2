// SPDX-License-Identifier: BSL-1.0

// Operations without tasks: a slot each, whose address the completion brings back. The limit for
// operations.

#include "question.hpp"

#include "../support/hand_task.hpp"
#include "../support/raw_ring.hpp"

namespace {

template <typename T>
using task = hand::task<T, hand::pooled_frames>;

class [[nodiscard]] all_nops {
 public:
  all_nops(hand::raw_ring& ring, int count)
      : ring_(ring), slots_(static_cast<std::size_t>(count)), left_(count) {}

  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept {
    waiter_ = self;
    for (slot& each : slots_) {
      each.owner = this;
      io_uring_sqe* const sqe = ring_.entry();
      io_uring_prep_nop(sqe);
      io_uring_sqe_set_data(sqe, &each);
    }
  }
  void await_resume() {
    for (const slot& each : slots_) bench::check(each.result == 0, "every operation succeeds");
  }

  static void complete(const io_uring_cqe& cqe) {
    slot& done = *static_cast<slot*>(io_uring_cqe_get_data(&cqe));
    done.result = cqe.res;
    if (--done.owner->left_ == 0) done.owner->waiter_.resume();
  }

 private:
  struct slot {
    all_nops* owner = nullptr;
    int result = -1;
  };

  hand::raw_ring& ring_;
  std::vector<slot> slots_;
  int left_;
  std::coroutine_handle<> waiter_;
};

}  // namespace

int main() {
  hand::raw_ring ring;
  const auto all = [&ring](int count) { return all_nops(ring, count); };
  task<int> root = question::ask_nops<task>("hand_slots", all);
  root.get().promise().waiter = std::noop_coroutine();
  root.get().resume();
  while (!root.get().done()) ring.turn(all_nops::complete);
  return root.take();
}
