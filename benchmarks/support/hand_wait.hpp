// SPDX-License-Identifier: BSL-1.0
#pragma once

// The limit for waiting: a queue of those who wait, woken through the queue of what may run.

#include "hand_task.hpp"

namespace hand {

struct waiter : ready_queue::entry {};

class wait_queue {
 public:
  void add(waiter& last, std::coroutine_handle<> self) noexcept {
    last.who = self;
    last.next = nullptr;
    (first_ ? last_->next : first_) = &last;
    last_ = &last;
  }
  bool empty() const noexcept { return first_ == nullptr; }
  waiter& pop() noexcept {
    auto& first = static_cast<waiter&>(*first_);
    first_ = first.next;
    return first;
  }
  bool wake_first() noexcept {
    if (empty()) return false;
    ready.push(pop());
    return true;
  }

 private:
  ready_queue::entry* first_ = nullptr;
  ready_queue::entry* last_ = nullptr;
};

/// Two tasks at once.
template <typename Frames>
class [[nodiscard]] both {
 public:
  both(task<void, Frames> a, task<void, Frames> b) noexcept
      : a_(std::move(a)), b_(std::move(b)), running_(2) {}

  bool await_ready() noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> parent) {
    running_.sleep(parent);
    for (auto* child : {&a_, &b_}) {
      child->get().promise().waiter = running_.as_waiter();
      child->get().resume();
    }
    return !running_.count();
  }
  void await_resume() {
    a_.take();
    b_.take();
  }

 private:
  task<void, Frames> a_;
  task<void, Frames> b_;
  countdown running_;
};

}  // namespace hand
