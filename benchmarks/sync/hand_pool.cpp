// SPDX-License-Identifier: BSL-1.0

// The least code that does the job: a flag or a number, and a queue of those who wait. No
// cancellation. The limit.

#include "question.hpp"

#include "../support/hand_task.hpp"
#include "../support/hand_wait.hpp"

namespace {

template <typename T>
using task = hand::task<T, hand::pooled_frames>;

class semaphore {
 public:
  class permit {
   public:
    explicit permit(semaphore& of) noexcept : of_(&of) {}
    permit(const permit&) = delete;
    ~permit() { of_->give(); }

   private:
    semaphore* of_;
  };
  struct acquiring : hand::waiter {
    semaphore& of;
    explicit acquiring(semaphore& s) noexcept : of(s) {}
    bool await_ready() noexcept { return of.free_ != 0 && of.free_-- != 0; }
    void await_suspend(std::coroutine_handle<> self) noexcept { of.waiting_.add(*this, self); }
    permit await_resume() noexcept { return permit(of); }
  };

  explicit semaphore(int n) noexcept : free_(n) {}
  acquiring acquire() noexcept { return acquiring(*this); }

 private:
  void give() noexcept {
    if (!waiting_.wake_first()) ++free_;
  }
  int free_;
  hand::wait_queue waiting_;
};

class mutex : semaphore {
 public:
  mutex() noexcept : semaphore(1) {}
  acquiring lock() noexcept { return acquire(); }
  static hand::yield let_others_run() noexcept { return {}; }
};

class event {
 public:
  struct waiting : hand::waiter {
    event& of;
    explicit waiting(event& e) noexcept : of(e) {}
    bool await_ready() const noexcept { return of.set_; }
    void await_suspend(std::coroutine_handle<> self) noexcept { of.waiting_.add(*this, self); }
    void await_resume() const noexcept {}
  };
  waiting wait() noexcept { return waiting(*this); }
  void reset() noexcept { set_ = false; }
  void set() noexcept {
    set_ = true;
    while (waiting_.wake_first()) {
    }
  }

 private:
  bool set_ = false;
  hand::wait_queue waiting_;
};

}  // namespace

int main() {
  const auto both = [](task<void> a, task<void> b) {
    return hand::both(std::move(a), std::move(b));
  };
  return hand::run(question::ask<task, mutex, semaphore, event>("hand_pool", both));
}
