// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What other threads want a loop to do next. A lock-free list takes the nodes, and an eventfd wakes
// the loop, but only when it sleeps: a burst of messages costs one wake-up, not one each.
//
// The race between a message and the loop falling asleep: the loop says that it will sleep, then
// looks once more; a sender puts its message there, then asks whether the loop sleeps. In whatever
// order these four happen, either the loop sees the message or the sender sees the sleeper.

#include <atomic>
#include <cstdint>
#include <sys/eventfd.h>
#include <unistd.h>

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
    // A sender whose message has already been acted upon may still be on its way out of send().
    while (senders_.load(std::memory_order_acquire) != 0) {
    }
  }

  [[nodiscard]] int native_handle() const noexcept { return wake_.get(); }

  /// From any thread. The node belongs to the loop from here on.
  void send(ready_node& node) noexcept {
    senders_.fetch_add(1, std::memory_order_relaxed);
    ready_node* newest = newest_.load(std::memory_order_relaxed);
    do {
      node.next = newest;
    } while (!newest_.compare_exchange_weak(newest, &node, std::memory_order_seq_cst,
                                            std::memory_order_relaxed));
    if (asleep_.load(std::memory_order_seq_cst)) wake();
    senders_.fetch_sub(1, std::memory_order_release);
  }

  /// From any thread, and from signal handlers.
  void wake() noexcept {
    asleep_.store(false, std::memory_order_relaxed);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written =
        ::write(sleeper_.load(std::memory_order_seq_cst), &one, sizeof one);  // full is awake, too
  }

  [[nodiscard]] bool empty() const noexcept {
    return newest_.load(std::memory_order_relaxed) == nullptr;
  }

  /// By the loop, before it sleeps: false if there is something to do instead.
  [[nodiscard]] bool fall_asleep() noexcept {
    asleep_.store(true, std::memory_order_seq_cst);
    return newest_.load(std::memory_order_seq_cst) == nullptr;
  }
  void wake_up() noexcept { asleep_.store(false, std::memory_order_relaxed); }

  /// By the loop: who sleeps in its place, from now on: a wake-up is a write to their eventfd.
  /// Whoever has read the old one by then has put its message there before; the loop looks for
  /// messages afterwards.
  void sleeps_on(int eventfd) noexcept { sleeper_.store(eventfd, std::memory_order_seq_cst); }

  /// By the loop: queues all messages, oldest first.
  void deliver(loop_base& loop) noexcept {
    if (newest_.load(std::memory_order_relaxed) == nullptr) return;
    ready_node* newest = newest_.exchange(nullptr, std::memory_order_acquire);
    ready_node* oldest = nullptr;
    while (newest != nullptr) {
      ready_node* const next = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    while (oldest != nullptr) {
      ready_node& message = *oldest;
      oldest = oldest->next;
      loop.push(message);
    }
  }

 private:
  std::atomic<ready_node*> newest_{nullptr};
  std::atomic<bool> asleep_{false};
  std::atomic<int> senders_{0};
  own_descriptor wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"};
  std::atomic<int> sleeper_{wake_.get()};  // whose eventfd is written to: the loop's own, or a host's
};

}  // namespace rondo::detail
