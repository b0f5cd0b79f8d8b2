// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Timers live in user space, in a heap with four children a node; only the earliest deadline is
// handed to the kernel, as the limit of the one call in which the loop sleeps. So a timer costs no
// system call and no submission entry, and a timeout around an operation is one insertion and one
// removal.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include <rondo/config.hpp>
#include <rondo/core/error.hpp>

namespace rondo::detail {

/// It lives in whatever waits for it. `fire` runs while the loop looks at the clock: like a
/// listener it records and queues, and runs no user code.
struct timer {
  explicit timer(void (*on_due)(timer&) noexcept) noexcept : fire(on_due) {}
  timer(const timer&) = delete;
  timer& operator=(const timer&) = delete;
  ~timer() { RONDO_ASSERT(!armed(), "a timer was destroyed while it was armed"); }

  [[nodiscard]] bool armed() const noexcept { return place != nowhere; }

  static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

  void (*fire)(timer&) noexcept;
  time_point deadline;
  std::uint64_t order = 0;      // timers due together fire in the order in which they were armed
  std::size_t place = nowhere;  // in the heap
};

class timer_queue {
 public:
  timer_queue() noexcept = default;
  timer_queue(const timer_queue&) = delete;
  timer_queue& operator=(const timer_queue&) = delete;
  /// A timer may outlive the loop; it is not armed any more then.
  ~timer_queue() {
    for (const entry& e : heap_) e.owner->place = timer::nowhere;
  }

  [[nodiscard]] bool empty() const noexcept { return heap_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }
  [[nodiscard]] time_point earliest() const noexcept { return heap_.front().deadline; }

  /// False when there is no memory for it; the timer is not armed then.
  [[nodiscard]] bool arm(timer& t, time_point deadline) noexcept {
    RONDO_ASSERT(!t.armed(), "a timer was armed twice");
    try {
      heap_.push_back({});
    } catch (const std::bad_alloc&) {
      return false;
    }
    t.deadline = deadline;
    t.order = ++armed_;
    sift_up(heap_.size() - 1, {deadline, &t});
    return true;
  }

  void disarm(timer& t) noexcept {
    const std::size_t hole = t.place;
    t.place = timer::nowhere;
    const entry last = heap_.back();
    heap_.pop_back();
    if (hole == heap_.size()) return;
    if (hole > 0 && before(last, heap_[parent(hole)])) {
      sift_up(hole, last);
    } else {
      sift_down(hole, last);
    }
  }

  /// Fires what is due at `now`, in order of deadline, but at most so many. False: there are more.
  bool expire(time_point now, std::size_t most = static_cast<std::size_t>(-1)) noexcept {
    for (; !heap_.empty() && heap_.front().deadline <= now; --most) {
      if (most == 0) return false;
      timer& due = *heap_.front().owner;
      disarm(due);
      fetch_next();
      due.fire(due);
    }
    return true;
  }

 private:
  struct entry {
    time_point deadline;
    timer* owner = nullptr;
  };
  static constexpr std::size_t arity = 4;

  static std::size_t parent(std::size_t index) noexcept { return (index - 1) / arity; }
  static bool before(const entry& a, const entry& b) noexcept {
    return a.deadline != b.deadline ? a.deadline < b.deadline : a.owner->order < b.owner->order;
  }
  /// Of many, those that fire next have not been looked at for long: they come to the cache while
  /// this one is dealt with.
  void fetch_next() const noexcept {
    for (std::size_t i = 1; i <= arity && i < heap_.size(); ++i) __builtin_prefetch(heap_[i].owner);
  }
  /// Nor are the lower levels of a large heap in the cache: while siblings are compared, the
  /// children of all of them come, since those of one are compared next.
  void fetch_children_of(std::size_t siblings) const noexcept {
    constexpr std::size_t entries_a_line = 64 / sizeof(entry);
    const std::size_t first = siblings * arity + 1;
    if (first + arity * arity > heap_.size()) return;
    for (std::size_t i = 0; i <= arity * arity; i += entries_a_line) {
      __builtin_prefetch(heap_.data() + first + i);
    }
  }
  void put(std::size_t index, const entry& e) noexcept {
    heap_[index] = e;
    e.owner->place = index;
  }
  void sift_up(std::size_t hole, entry e) noexcept {
    while (hole > 0 && before(e, heap_[parent(hole)])) {
      put(hole, heap_[parent(hole)]);
      hole = parent(hole);
    }
    put(hole, e);
  }
  void sift_down(std::size_t hole, entry e) noexcept {
    for (;;) {
      const std::size_t first = hole * arity + 1;
      if (first >= heap_.size()) break;
      fetch_children_of(first);
      std::size_t least = first;
      for (std::size_t i = first + 1; i < first + arity && i < heap_.size(); ++i) {
        if (before(heap_[i], heap_[least])) least = i;
      }
      if (!before(heap_[least], e)) break;
      put(hole, heap_[least]);
      hole = least;
    }
    put(hole, e);
  }

  std::vector<entry> heap_;
  std::uint64_t armed_ = 0;
};

}  // namespace rondo::detail
