// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What other threads want a loop to do next. A lock-free list takes the nodes, and an eventfd wakes
// the loop, but only when it sleeps: a burst of messages costs one wake-up, not one each.
//
// One word holds both what has arrived and whether the loop sleeps, so there is no race between a
// message and the loop falling asleep, and a message to a loop that is awake is one atomic exchange:
//
//   null        nothing has arrived, the loop is awake
//   asleep      nothing has arrived, the loop may sleep: whoever changes that wakes it
//   a message   the newest, which knows the one before it; the loop is awake, or is being woken
//
// A loop that nobody has sent anything to for a while leaves it at that while it is awake, too, and so
// changes nothing before and after it sleeps. Whoever sends something then wakes it needlessly, once.
//
// By the time that a sender wakes the loop, something else may have done so, and its message may have
// been what somebody was waiting for to destroy the loop. So those who wake it are counted, and the
// inbox waits for them; all others are done with it once the message is there.

#include <atomic>
#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

#include <rondo/core/ready_queue.hpp>
#include <rondo/loop/own_descriptor.hpp>

namespace rondo::detail {

class inbox {
 public:
  /// Throws: std::system_error.
  inbox() = default;
  inbox(const inbox&) = delete;
  inbox& operator=(const inbox&) = delete;
  ~inbox() {
    while (wakers_.load(std::memory_order_acquire) != 0) {
    }
  }

  [[nodiscard]] int native_handle() const noexcept { return wake_.get(); }

  /// From any thread. The node belongs to the loop from here on.
  void send(ready_node& node) noexcept {
    ready_node* newest = newest_.load(std::memory_order_relaxed);
    while (newest != asleep()) {
      node.next = newest;
      if (newest_.compare_exchange_weak(newest, &node, std::memory_order_release,
                                        std::memory_order_relaxed)) {
        return;
      }
    }
    send_and_wake(node);
  }

  /// From any thread, and from signal handlers.
  void wake() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written =
        ::write(sleeper_.load(std::memory_order_seq_cst), &one, sizeof one);  // full is awake, too
  }

  [[nodiscard]] bool empty() const noexcept {
    ready_node* const newest = newest_.load(std::memory_order_relaxed);
    return newest == nullptr || newest == asleep();
  }

  /// By the loop, before it sleeps: false if there is something to do instead.
  [[nodiscard]] bool fall_asleep() noexcept {
    ready_node* newest = newest_.load(std::memory_order_relaxed);
    if (newest != nullptr) return newest == asleep();
    return newest_.compare_exchange_strong(newest, asleep(), std::memory_order_release,
                                           std::memory_order_relaxed);
  }
  void wake_up() noexcept {
    if (sleeps_until_quiet_ == 0) [[likely]] return;
    --sleeps_until_quiet_;
    ready_node* newest = asleep();
    newest_.compare_exchange_strong(newest, nullptr, std::memory_order_relaxed);
  }

  /// By the loop: who sleeps in its place, from now on: a wake-up is a write to their eventfd.
  /// Whoever has read the old one by then has put its message there before; the loop looks for
  /// messages afterwards.
  void sleeps_on(int eventfd) noexcept {
    sleeper_.store(eventfd, std::memory_order_seq_cst);
    ready_node* newest = asleep();  // falling asleep is to change the word, behind that
    newest_.compare_exchange_strong(newest, nullptr, std::memory_order_seq_cst);
  }

  /// By the loop: queues all messages, oldest first.
  void deliver(loop_base& loop) noexcept {
    if (empty()) return;
    sleeps_until_quiet_ = 16;
    ready_node* const newest = newest_.exchange(nullptr, std::memory_order_acquire);
    ready_node* oldest = newest;
    for (ready_node* older = newest->next; older != nullptr;) {
      ready_node* const next = older->next;
      older->next = oldest;
      oldest = std::exchange(older, next);
    }
    loop.push_all(*oldest, *newest);
  }

 private:
  /// No node is there.
  static ready_node* asleep() noexcept {
    return reinterpret_cast<ready_node*>(std::uintptr_t{alignof(ready_node)});
  }

  [[gnu::noinline]] void send_and_wake(ready_node& node) noexcept {
    wakers_.fetch_add(1, std::memory_order_relaxed);
    ready_node* newest = newest_.load(std::memory_order_relaxed);
    do {
      node.next = newest != asleep() ? newest : nullptr;
    } while (!newest_.compare_exchange_weak(newest, &node, std::memory_order_acq_rel,
                                            std::memory_order_relaxed));
    if (newest == asleep()) wake();
    wakers_.fetch_sub(1, std::memory_order_release);
  }

  std::atomic<ready_node*> newest_{nullptr};
  unsigned sleeps_until_quiet_ = 0;  // from when on it is not said any more that the loop is awake
  std::atomic<int> wakers_{0};
  own_descriptor wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"};
  std::atomic<int> sleeper_{wake_.get()};  // whose eventfd is written to: the loop's own, or a host's
};

}  // namespace rondo::detail
