// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// All that a loop's rings hold: what is in flight, what was canceled and has not ended, and what wants
// an entry that is not to be had where completions are taken: to be canceled, or for the next step
// of an operation that has several.
//
//   launched -> in flight -> to cancel -> ending -> ended
//     | ^          |                        ^
//     | '-- to go on                        |         who closes its descriptor meanwhile is told
//     '-------------------------------------'         sure to end by itself: see launched_to_end

#include <utility>

#include <rondo/detail/intrusive_list.hpp>
#include <rondo/loop/in_flight.hpp>

namespace rondo::detail {

class flights {
 public:
  void launched(in_flight& op) noexcept { in_flight_.push_back(op); }
  /// For those who tell the two apart, because time is virtual: it ends by itself.
  void launched_to_end(in_flight& op) noexcept { ending_.push_back(op); }

  /// Asks for its end; again, if it was asked before.
  void cancel(in_flight& op) noexcept {
    op.unlink();
    to_cancel_.push_back(op);
  }
  /// The same for all that is on a descriptor. False: nothing is. `fd` is not negative.
  [[nodiscard]] bool cancel_on(int fd) noexcept {
    const auto each = [this](in_flight& op) noexcept { cancel(op); };
    in_flight_.for_each_on(fd, each);
    ending_.for_each_on(fd, each);
    bool found = false;
    const auto find = [&](const in_flight& op) noexcept { found = found || op.is_on(fd); };
    to_cancel_.for_each(find);
    to_go_on_.for_each(find);
    to_go_on_next_.for_each(find);
    return found;
  }
  void cancel_all() noexcept {
    const auto each = [this](in_flight& op) noexcept { cancel(op); };
    in_flight_.for_each(each);
    ending_.for_each(each);
  }

  /// Its go_on is called by bring_on. True: bring_on has to be called, later, behind all who are
  /// ready by now; false: it will be in any case.
  [[nodiscard]] bool goes_on(in_flight& op) noexcept {
    if (op.linked()) op.unlink();
    (bringing_on_ ? to_go_on_next_ : to_go_on_).push_back(op);
    return !std::exchange(bringing_on_, true);
  }
  /// Lets those go on who wanted to when it was decided that this is called. True: there are others
  /// by now, for whom it has to be called again, behind those who are ready by now: who closes a
  /// descriptor relies on that (io/ops/close.hpp).
  [[nodiscard]] bool bring_on() noexcept {
    while (!to_go_on_.empty()) to_go_on_.pop_front().go_on();
    while (!to_go_on_next_.empty()) to_go_on_.push_back(to_go_on_next_.pop_front());
    return bringing_on_ = !to_go_on_.empty();
  }

  [[nodiscard]] bool any_to_cancel() const noexcept { return !to_cancel_.empty(); }
  /// The first of them, which is being canceled from now on.
  in_flight& next_to_cancel() noexcept {
    in_flight& op = to_cancel_.pop_front();
    ending_.push_back(op);
    return op;
  }

  /// Whether something may stay for ever, or ends soon.
  [[nodiscard]] bool any_may_stay() const noexcept { return !in_flight_.empty(); }
  [[nodiscard]] bool any_ends() const noexcept {
    return !ending_.empty() || any_to_cancel() || !to_go_on_.empty() || !to_go_on_next_.empty();
  }
  [[nodiscard]] bool empty() const noexcept { return !any_may_stay() && !any_ends(); }

 private:
  in_flight_table in_flight_;
  in_flight_table ending_;
  intrusive_list<in_flight> to_cancel_;
  intrusive_list<in_flight> to_go_on_;
  intrusive_list<in_flight> to_go_on_next_;  // who has come when it was decided
  bool bringing_on_ = false;
};

}  // namespace rondo::detail
