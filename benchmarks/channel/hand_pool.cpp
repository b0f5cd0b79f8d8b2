// SPDX-License-Identifier: BSL-1.0

// The least code that does the job: a ring, and two queues of those who wait, each with its value
// in its frame. No cancellation, and no end. The limit.

#include "question.hpp"

#include "../support/hand_task.hpp"
#include "../support/hand_wait.hpp"

#include <bit>
#include <memory>
#include <optional>

namespace {

template <typename T>
using task = hand::task<T, hand::pooled_frames>;

class channel {
  struct sending : hand::waiter {
    channel& to;
    int value;
    sending(channel& c, int v) noexcept : to(c), value(v) {}
    bool await_ready() noexcept { return to.accept(value); }
    void await_suspend(std::coroutine_handle<> self) noexcept { to.senders_.add(*this, self); }
    void await_resume() const noexcept {}
  };
  struct receiving : hand::waiter {
    channel& from;
    std::optional<int> value;
    explicit receiving(channel& c) noexcept : from(c) {}
    bool await_ready() noexcept { return from.fetch(value); }
    void await_suspend(std::coroutine_handle<> self) noexcept { from.receivers_.add(*this, self); }
    std::optional<int> await_resume() const noexcept { return value; }
  };

 public:
  explicit channel(std::size_t capacity)
      : capacity_(capacity),
        mask_(std::bit_ceil(capacity) - 1),
        ring_(std::make_unique<int[]>(mask_ + 1)) {}

  sending send(int value) noexcept { return {*this, value}; }
  receiving receive() noexcept { return receiving(*this); }

 private:
  bool accept(int value) noexcept {
    if (!receivers_.empty()) {
      auto& first = static_cast<receiving&>(receivers_.pop());
      first.value = value;
      hand::ready.push(first);
      return true;
    }
    if (tail_ - head_ == capacity_) return false;
    ring_[tail_++ & mask_] = value;
    return true;
  }
  bool fetch(std::optional<int>& value) noexcept {
    if (tail_ != head_) {
      value = ring_[head_++ & mask_];
      if (!senders_.empty()) {
        auto& first = static_cast<sending&>(senders_.pop());
        ring_[tail_++ & mask_] = first.value;
        hand::ready.push(first);
      }
      return true;
    }
    if (senders_.empty()) return false;
    auto& first = static_cast<sending&>(senders_.pop());
    value = first.value;
    hand::ready.push(first);
    return true;
  }

  std::size_t capacity_;
  std::size_t mask_;
  std::unique_ptr<int[]> ring_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
  hand::wait_queue senders_;
  hand::wait_queue receivers_;
};

}  // namespace

int main() {
  const auto both = [](task<void> a, task<void> b) {
    return hand::both(std::move(a), std::move(b));
  };
  return hand::run(question::ask<task, channel>("hand_pool", both));
}
