// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A list of those who wait for the same thing, first come, first served. No allocation: a place in
// the list is part of the state of whoever waits.
//
// A place that is canceled leaves the list at once, so nothing can be granted to it any more; its
// end is told a turn later.

#include <rondo/core/awaitable.hpp>
#include <rondo/core/error.hpp>
#include <rondo/core/scope.hpp>
#include <rondo/detail/intrusive_list.hpp>

namespace rondo::detail {

class wait_list;

/// The base of a state that may wait in a list. Its start:
///
///     if (refused(line, told)) return true;
///     if (nobody has to wait) return pass();
///     return wait_in(list);
class place_in_list : leaf, list_hook, ready_node {
 public:
  place_in_list(const place_in_list&) = delete;
  place_in_list& operator=(const place_in_list&) = delete;

  [[nodiscard]] outcome how() const noexcept {
    return canceled_ ? outcome::canceled : outcome::value;
  }
  void take() const {
    if (canceled_) [[unlikely]] throw operation_canceled();
  }

 protected:
  place_in_list() noexcept : leaf{&place_in_list::cancel_it} {}
  ~place_in_list() = default;

  [[nodiscard]] bool refused(scope& line, continuation told) noexcept {
    line_ = &line;
    waiter = told;
    if (!line.canceled()) [[likely]] return false;
    canceled_ = true;
    line.refuse(*this);
    return true;
  }
  [[nodiscard]] bool pass() noexcept { return line_->loop().ready_at_once(*this); }
  [[nodiscard]] bool wait_in(wait_list& list) noexcept;

 private:
  friend wait_list;
  friend intrusive_list<place_in_list>;

  static void cancel_it(leaf& self) noexcept {
    auto& place = static_cast<place_in_list&>(self);
    place.unlink();
    place.canceled_ = true;
    place.line_->leave();
    place.line_->loop().push(place);
  }

  scope* line_ = nullptr;
  bool canceled_ = false;
};

class wait_list {
 public:
  /// Tells everybody who waits.
  void wake_all() noexcept {
    if (places_.empty()) return;
    loop_base& loop = places_.front().line_->loop();
    while (!places_.empty()) {
      place_in_list& place = places_.pop_front();
      place.line_->leave();
      loop.complete(place);
    }
    loop.rouse();
  }

 private:
  friend place_in_list;
  intrusive_list<place_in_list> places_;
};

inline bool place_in_list::wait_in(wait_list& list) noexcept {
  line_->enter(*this);
  list.places_.push_back(*this);
  return true;
}

}  // namespace rondo::detail
