// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// shield: a stretch that cancellation does not enter.
//
//     co_await shield(connection.send_goodbye());
//
// Unlike asyncio's, it does not abandon the wait: the shielded work runs to its end, its value or
// error is delivered, and the *next* operation feels the cancellation.

#include <utility>

#include <rondo/core/held_task.hpp>
#include <rondo/core/nested_line.hpp>

namespace rondo {

namespace detail {
template <typename A>
class shield_state;

template <typename A>
class [[nodiscard("shield does nothing until it is awaited")]] shield_description
    : public only_in_rondo {
 public:
  using state_type = shield_state<A>;
  explicit shield_description(A&& awaitable) : awaitable_(std::forward<A>(awaitable)) {}

 private:
  friend state_type;
  A awaitable_;
};
}  // namespace detail

/// Awaits something out of reach of whoever cancels the task, or has canceled it already. A timeout
/// around it waits for its end, too.
///
/// Gives, throws: what it gives and throws.
template <awaitable A>
auto shield(A&& awaitable) {
  return detail::shield_description<A>(std::forward<A>(awaitable));
}

// Implementation

namespace detail {

template <typename A>
class shield_state : nested_line {
 public:
  explicit shield_state(shield_description<A>&& d)
      : nested_line(kind, &shield_state::just_end),
        state_(static_cast<A&&>(d.awaitable_)) {}

  [[nodiscard]] bool start(scope& outer, continuation told) noexcept {
    inner_.open_shielded(outer);
    return run(state_, outer, told) || waits_a_turn();
  }
  [[nodiscard]] outcome how() const noexcept { return state_.how(); }
  decltype(auto) take() { return state_.take(); }
  void let_go() noexcept
    requires lets_go<held_state_for<A>>
  {
    state_.let_go();
  }

 private:
  static constexpr leaf_kind kind{"shield", [](leaf&) noexcept {}, &nested_line::show_inner};

  held_state_for<A> state_;
};

}  // namespace detail
}  // namespace rondo
