// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A line of work inside another: what with_timeout, shield and with_context put around something.
// There is one child, so nothing runs at the same time; the line exists to be canceled, or not to
// be, apart from the one around it.
//
//     outer line:  ... suspended on this, its leaf ------------> told when the inner one has ended
//     inner line:                            the child, and what it has left behind ...

#include <rondo/core/awaitable.hpp>
#include <rondo/core/observer.hpp>
#include <rondo/core/scope.hpp>

namespace rondo::detail {

class nested_line : public leaf, public listener, public ready_node {
 public:
  nested_line(const nested_line&) = delete;
  nested_line& operator=(const nested_line&) = delete;

 protected:
  using end_function = void (*)(listener&) noexcept;

  nested_line(const leaf_kind& kind, end_function on_end) noexcept
      : leaf{&kind}, listener{on_end} {}
  ~nested_line() = default;

  /// Starts the child in the inner line, which was opened before. False: it has ended already.
  template <typename State>
  [[nodiscard]] bool run(State& child, scope& outer, continuation told) noexcept {
    outer_ = &outer;
    waiter = told;
    outer.enter(*this);
    const loop_base::running_in now(outer.loop(), inner_);
    if (child.start(inner_, static_cast<listener&>(*this)) || !has_ended()) return true;
    outer.leave();
    return false;
  }

  /// The last line of a start whose child has ended already: whether the waiter is told later all
  /// the same, for the sake of others.
  [[nodiscard]] bool waits_a_turn() noexcept { return outer_->loop().ready_at_once(*this); }

  /// The child has ended, later. The listener may be told once more: when what the child has left
  /// behind has ended, too.
  void end() noexcept {
    if (!has_ended()) return;
    outer_->leave();
    outer_->loop().complete(*this);
  }

  /// What a cancellation of the outer line may do, and the child's end.
  static void pass_on(leaf& self) noexcept { static_cast<nested_line&>(self).inner_.cancel(); }
  static void show_inner(leaf& self, observer& to) {
    auto& state = static_cast<nested_line&>(self);
    if (state.inner_.ended()) return to.particular("for what was left behind");
    to.child(state.inner_);
  }
  static void just_end(listener& self) noexcept { static_cast<nested_line&>(self).end(); }

  [[nodiscard]] scope& outer() const noexcept { return *outer_; }

  scope inner_;

 private:
  [[nodiscard]] bool has_ended() noexcept {
    inner_.end();
    return !outer_->loop().defer_end(inner_, *this);
  }

  scope* outer_ = nullptr;
};

}  // namespace rondo::detail
