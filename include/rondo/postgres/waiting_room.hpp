// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Tasks that wait for the same thing, first come, first served. One that is canceled leaves at
// once, so nothing can be granted to it any more; its end is told a turn later.

#include <rondo/core/awaitable.hpp>
#include <rondo/core/error.hpp>
#include <rondo/core/scope.hpp>
#include <rondo/detail/intrusive_list.hpp>

namespace rondo::postgres::detail {

class waiting_room;
class wait_state;

/// Gives nothing. Keep alive: the room.
class [[nodiscard]] wait_description : public rondo::detail::only_in_rondo {
 public:
  using state_type = wait_state;
  explicit wait_description(waiting_room& room) noexcept : room_(&room) {}

 private:
  friend wait_state;
  waiting_room* room_;
};

class wait_state : rondo::detail::leaf, rondo::detail::list_hook, rondo::detail::ready_node {
 public:
  explicit wait_state(wait_description&& d) noexcept
      : leaf{&wait_state::cancel_it}, room_(*d.room_) {}

  [[nodiscard]] bool start(rondo::detail::scope& line, rondo::detail::continuation told) noexcept;
  [[nodiscard]] rondo::detail::outcome how() const noexcept {
    return canceled_ ? rondo::detail::outcome::canceled : rondo::detail::outcome::value;
  }
  void take() const {
    if (canceled_) throw operation_canceled();
  }

 private:
  friend waiting_room;
  friend rondo::detail::intrusive_list<wait_state>;

  static void cancel_it(leaf& self) noexcept {
    auto& s = static_cast<wait_state&>(self);
    s.unlink();
    s.canceled_ = true;
    s.line_->leave();
    s.line_->loop().push(s);
  }

  waiting_room& room_;
  rondo::detail::scope* line_ = nullptr;
  bool canceled_ = false;
};

class waiting_room {
 public:
  [[nodiscard]] bool empty() const noexcept { return waiting_.empty(); }
  [[nodiscard]] wait_description wait() noexcept { return wait_description(*this); }

  /// Tells the first, if there is one.
  bool wake_first() noexcept {
    if (waiting_.empty()) return false;
    wait_state& first = waiting_.pop_front();
    rondo::detail::loop_base& loop = first.line_->loop();
    first.line_->leave();
    loop.complete(first);
    loop.rouse();
    return true;
  }
  /// Tells all that wait now.
  void wake_all() noexcept {
    while (wake_first()) {
    }
  }

 private:
  friend wait_state;
  rondo::detail::intrusive_list<wait_state> waiting_;
};

inline bool wait_state::start(rondo::detail::scope& line,
                              rondo::detail::continuation told) noexcept {
  line_ = &line;
  waiter = told;
  if (line.canceled()) [[unlikely]] {
    canceled_ = true;
    line.refuse(*this);
    return true;
  }
  line.enter(*this);
  room_.waiting_.push_back(*this);
  return true;
}

static_assert(rondo::detail::operation<wait_description>);

}  // namespace rondo::postgres::detail
