// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A list of those who wait for the same thing, first come, first served: what is under everything
// that tasks of one loop wait for among themselves. No allocation: a place in the list is part of
// the state of whoever waits.
//
// A place is in one of four situations, and only one of them can be canceled:
//
//   refused   its line was canceled before it began: it ends as canceled, a turn later
//   waiting   in the list. A cancellation takes it out at once, so nothing can be granted to it any
//             more, and it ends as canceled, a turn later
//   granted   out of the list, told or about to be. A cancellation comes too late: success wins
//   canceled  out of the list, told a turn later
//
// Granting tells combinators at once, and they may cancel other places in the same list before the
// call returns. So whoever grants has its own state in order before it wakes anybody, and looks at
// the list afresh afterwards.

#include <rondo/core/awaitable.hpp>
#include <rondo/core/error.hpp>
#include <rondo/core/scope.hpp>
#include <rondo/detail/intrusive_list.hpp>

namespace rondo::detail {

class wait_list;

/// The base of a state that may wait in a list. Its start:
///
///     if (line.canceled()) return refuse(line, told);
///     if (nobody has to wait) return pass(line, told);
///     return wait_in(list, line, told, kind);
///
/// What is needed to wait is written only by those who do: passing is the common case.
class place_in_list : protected leaf, protected list_hook, protected ready_node {
 public:
  place_in_list(const place_in_list&) = delete;
  place_in_list& operator=(const place_in_list&) = delete;

  static constexpr bool only_waits = true;  // see core/awaitable.hpp

  [[nodiscard]] outcome how() const noexcept {
    return canceled_ ? outcome::canceled : outcome::value;
  }
  void take() const {
    if (canceled_) [[unlikely]] throw operation_canceled();
  }

 protected:
  place_in_list() noexcept
      : list_hook(list_hook::later()), ready_node(continuation::later()) {}
  ~place_in_list() = default;

  [[nodiscard, gnu::cold, gnu::noinline]] bool refuse(scope& line, continuation told) noexcept {
    waiter = told;
    canceled_ = true;
    line.refuse(*this);
    return true;
  }
  [[nodiscard]] bool pass(scope& line, continuation told) noexcept {
    if (!line.loop().ready_at_once(told)) [[likely]] return false;
    waiter = told;
    line.loop().push(*this);
    return true;
  }
  /// kind: with end_canceled, or with a function of its own, for those on whose place in the list
  /// something else depends.
  [[nodiscard]] bool wait_in(wait_list& list, scope& line, continuation told,
                             const leaf_kind& kind) noexcept {
    begin_to_wait(list, line, told, kind);
    return true;
  }

  /// For a place that has waited elsewhere, and cannot be canceled any more.
  void wait_on(wait_list& list, const leaf_kind& kind) noexcept;

  /// What such a function does first: nothing can be granted to the place any more.
  void drop_out() noexcept {
    unlink();
    canceled_ = true;
    line_->leave();
  }
  /// And last: its end is told a turn later.
  void tell_later() noexcept { line_->loop().push(*this); }
  /// Both.
  static void end_canceled(leaf& self) noexcept {
    auto& place = static_cast<place_in_list&>(self);
    place.drop_out();
    place.tell_later();
  }

 private:
  friend wait_list;
  friend intrusive_list<place_in_list>;

  void begin_to_wait(wait_list& list, scope& line, continuation told,
                     const leaf_kind& kind) noexcept;

  scope* line_;  // of one that waits
  bool canceled_ = false;
};

class wait_list {
 public:
  wait_list() noexcept = default;
  ~wait_list() {
    RONDO_ASSERT(empty(), "what a task waits for (a lock, an event, a channel, the end of a task) was "
                          "destroyed before the task had ended");
  }

  [[nodiscard]] bool empty() const noexcept { return places_.empty(); }
  [[nodiscard]] place_in_list& first() noexcept { return places_.front(); }

  /// Tells the first that it has what it waits for.
  void wake_first() noexcept { wake(take_out_first()); }
  /// Tells everybody who waits.
  void wake_all() noexcept {
    while (!places_.empty()) wake_first();
  }

  /// Tells the first of whom `is` is true, if there is one.
  template <typename P>
  void wake_first_that(P is) noexcept {
    place_in_list* const found = places_.find(is);
    if (found == nullptr) return;
    found->unlink();
    found->line_->leave();
    wake(*found);
  }

  /// In two steps. Between them the place can no longer be canceled.
  place_in_list& take_out_first() noexcept {
    place_in_list& place = places_.pop_front();
    place.line_->leave();
    return place;
  }
  [[gnu::noinline]] static void wake(place_in_list& place) noexcept {
    loop_base& loop = place.line_->loop();
    loop.complete(place);
    loop.rouse();
  }

  template <typename F>
  void for_each(F f) {
    places_.for_each(f);
  }

 private:
  friend place_in_list;

  intrusive_list<place_in_list> places_;
};

// Not inlined, so that the common case, in which nobody waits, is small enough to be.

[[gnu::noinline]] inline void place_in_list::begin_to_wait(wait_list& list, scope& line,
                                                           continuation told,
                                                           const leaf_kind& kind) noexcept {
  line_ = &line;
  waiter = told;
  wait_on(list, kind);
}

inline void place_in_list::wait_on(wait_list& list, const leaf_kind& kind) noexcept {
  what = &kind;
  line_->enter(*this);
  list.places_.push_back(*this);
}

}  // namespace rondo::detail
