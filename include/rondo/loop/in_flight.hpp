// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What was asked of a ring and has not ended. By descriptor, so that closing one of ten thousand
// looks at few of the others.

#include <algorithm>
#include <array>
#include <cstdint>

#include <rondo/core/scope.hpp>
#include <rondo/detail/intrusive_list.hpp>

namespace rondo::detail {

struct in_flight;

/// What kind of thing is in flight. `complete` is called for each of its completions, while they
/// are taken from the queue: it records and queues, and neither runs user code nor asks for an
/// entry. The rest is for those that a line is suspended on.
struct flight_kind : leaf_kind {
  void (*complete)(in_flight&, int result, std::uint32_t flags) noexcept;
  void (*go_on)(in_flight&) noexcept = nullptr;  // of what has asked flights to be told so
};

/// What is in flight: the address of this is the entry's user_data.
struct in_flight : list_hook, leaf {
  explicit in_flight(const flight_kind& kind) noexcept : leaf{&kind} {}

  void complete(int result, std::uint32_t flags) noexcept {
    static_cast<const flight_kind*>(what)->complete(*this, result, flags);
  }
  void go_on() noexcept { static_cast<const flight_kind*>(what)->go_on(*this); }
  [[nodiscard]] bool is_on(int descriptor) const noexcept {
    return fd == descriptor || other == descriptor;
  }

  int fd = -1;     // the descriptor that it was asked on, if closing that is to end it
  int other = -1;  // and the second one, of the few that work on two; negative if there is none
};

class in_flight_table {
  using list = intrusive_list<in_flight>;

 public:
  void push_back(in_flight& op) noexcept {
    (op.other < 0 ? list_of(op.fd) : on_two_).push_back(op);
  }

  [[nodiscard]] bool empty() const noexcept {
    return on_two_.empty() &&
           std::all_of(lists_.begin(), lists_.end(), [](const list& l) { return l.empty(); });
  }

  /// Calls f with everything, or with what is on one descriptor. f may unlink what it is given.
  template <typename F>
  void for_each(F f) noexcept {
    for (list& each : lists_) each.for_each(f);
    on_two_.for_each(f);
  }
  template <typename F>
  void for_each_on(int fd, F f) noexcept {
    const auto visit = [&](in_flight& op) noexcept {
      if (op.is_on(fd)) f(op);
    };
    list_of(fd).for_each(visit);
    on_two_.for_each(visit);
  }

 private:
  [[nodiscard]] list& list_of(int fd) noexcept {
    return lists_[static_cast<unsigned>(fd) % lists_.size()];
  }

  std::array<list, 64> lists_;
  list on_two_;
};

}  // namespace rondo::detail
