// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// priority_channel<T>: a channel that gives the greatest value first, as std::priority_queue does.
// asyncio.PriorityQueue gives the least: that is Compare = std::greater<>.
//
//     rondo::priority_channel<job, by_urgency> jobs(100);
//     co_await jobs.send(std::move(j));
//     while (auto j = co_await jobs.receive()) co_await run(*j);
//
// Those that compare equal come in the order in which they were sent. What is ordered is what the
// channel holds: tasks that wait to send come in as there is room, first come, first served.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include <rondo/sync/basic_channel.hpp>

namespace rondo {

namespace detail {

template <typename T, typename Compare>
class heap_store {
 public:
  explicit heap_store(std::size_t capacity, Compare compare = Compare())
      : after_{std::move(compare)} {
    heap_.reserve(capacity);
  }

  [[nodiscard]] std::size_t size() const noexcept { return heap_.size(); }

  void push(T&& value) {
    heap_.emplace_back(std::move(value), sent_++);
    std::push_heap(heap_.begin(), heap_.end(), after_);
  }
  T pop() {
    std::pop_heap(heap_.begin(), heap_.end(), after_);
    T value = std::move(heap_.back().value);
    heap_.pop_back();
    return value;
  }
  /// Before those that compare equal.
  void put_back(T&& value) {
    heap_.emplace_back(std::move(value), returned_--);
    std::push_heap(heap_.begin(), heap_.end(), after_);
  }

 private:
  struct entry {
    entry(T&& v, std::int64_t n) : value(std::move(v)), number(n) {}
    T value;
    std::int64_t number;
  };
  struct comes_after {
    Compare less;
    bool operator()(const entry& a, const entry& b) {
      if (less(a.value, b.value)) return true;
      return a.number > b.number && !less(b.value, a.value);
    }
  };

  std::vector<entry> heap_;
  comes_after after_;
  std::int64_t sent_ = 0;
  std::int64_t returned_ = -1;
};

}  // namespace detail

/// The members are those of detail::basic_channel, as in channel. T is movable and assignable. A
/// Compare that throws ends the program.
template <typename T, typename Compare = std::less<T>>
class priority_channel : public detail::basic_channel<T, detail::heap_store<T, Compare>> {
 public:
  explicit priority_channel(std::size_t capacity, Compare compare = Compare())
      : detail::basic_channel<T, detail::heap_store<T, Compare>>(capacity, std::move(compare)) {}
};

}  // namespace rondo
