// SPDX-License-Identifier: BSL-1.0

// The least coroutines over a heap of deadlines. To be canceled is an exception, as with all who
// give a coroutine the chance to clean up. The limit for tasks.

#include "question.hpp"

#include "../support/hand_heap.hpp"
#include "../support/hand_task.hpp"

namespace {

template <typename T>
using task = hand::task<T, hand::pooled_frames>;

struct canceled {};

class hour;

hand::heap<hand::deadline<hour>> timers;

class [[nodiscard]] hour {
 public:
  hour() = default;
  hour(const hour&) = delete;
  hour& operator=(const hour&) = delete;

  bool await_ready() noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) {
    waiter_ = self;
    timers.push({question::clock::now() + std::chrono::hours(1), this});
  }
  void await_resume() {
    if (canceled_) throw canceled();
  }

  void cancel() {
    timers.erase(place);
    canceled_ = true;
    waiter_.resume();
  }

  std::size_t place = 0;

 private:
  std::coroutine_handle<> waiter_;
  bool canceled_ = false;
};

task<int> sleep_long(std::vector<hour*>& asleep) {
  hour this_long;
  asleep.push_back(&this_long);
  co_await this_long;
  co_return 1;
}

task<int> wait(std::vector<hour*>& asleep) {
  std::vector<task<int>> sleepers;
  sleepers.reserve(question::canceled);
  for (int i = 0; i < question::canceled; ++i) sleepers.push_back(sleep_long(asleep));
  int were_canceled = 0;
  for (auto& ended : co_await hand::when_all(std::move(sleepers))) {
    were_canceled += ended.get().promise().failed();
  }
  co_return were_canceled;
}

}  // namespace

int main() {
  bench::row row = question::cancel_tasks("hand");
  while (row.again()) {
    std::vector<hour*> asleep;
    asleep.reserve(question::canceled);
    task<int> all = wait(asleep);
    all.get().promise().waiter = std::noop_coroutine();
    all.get().resume();
    row.begin();
    for (hour* each : asleep) each->cancel();
    bench::check(all.get().done() && all.take() == question::canceled, "all were canceled");
  }
}
