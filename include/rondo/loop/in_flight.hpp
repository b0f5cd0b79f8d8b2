// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What was asked of a ring and has not ended. By descriptor, so that closing one of ten thousand
// looks at few of the others.

#include <algorithm>
#include <array>
#include <cstdint>

#include <rondo/detail/intrusive_list.hpp>

namespace rondo::detail {

/// What is in flight: the address of this is the entry's user_data. `complete` is called for each
/// of its completions, while they are taken from the queue: it records and queues, and neither runs
/// user code nor asks for an entry.
struct in_flight : list_hook {
  explicit in_flight(void (*on_completion)(in_flight&, int, std::uint32_t) noexcept) noexcept
      : complete(on_completion) {}

  void (*complete)(in_flight&, int result, std::uint32_t flags) noexcept;
  int fd = -1;  // the descriptor that it was asked on, if closing that is to end it
};

class in_flight_table {
  using list = intrusive_list<in_flight>;

 public:
  void push_back(in_flight& op) noexcept { list_of(op.fd).push_back(op); }

  [[nodiscard]] bool empty() const noexcept {
    return std::all_of(lists_.begin(), lists_.end(), [](const list& l) { return l.empty(); });
  }

  /// Calls f with everything, or with what is on one descriptor. f may unlink what it is given.
  template <typename F>
  void for_each(F f) noexcept {
    for (list& each : lists_) each.for_each(f);
  }
  template <typename F>
  void for_each_on(int fd, F f) noexcept {
    list_of(fd).for_each([&](in_flight& op) noexcept {
      if (op.fd == fd) f(op);
    });
  }

 private:
  [[nodiscard]] list& list_of(int fd) noexcept {
    return lists_[static_cast<unsigned>(fd) % lists_.size()];
  }

  std::array<list, 64> lists_;
};

}  // namespace rondo::detail
