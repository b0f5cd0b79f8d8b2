// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// with_context: sets context variables for something and all that it awaits, starts or spawns.
//
//     co_await with_context(request_id, "a1", handle(request));
//     co_await with_context(request_id, "a1", user, name, handle(request));

#include <cstddef>
#include <tuple>
#include <utility>

#include <rondo/core/context.hpp>
#include <rondo/core/held_task.hpp>
#include <rondo/core/nested_line.hpp>

namespace rondo {

namespace detail {

template <typename A>
class with_context_state;

template <typename A>
class [[nodiscard("with_context does nothing until it is awaited")]] with_context_description
    : public only_in_rondo {
 public:
  using state_type = with_context_state<A>;
  with_context_description(context_holder newest, context_node* oldest, A&& awaitable)
      : newest_(std::move(newest)), oldest_(oldest), awaitable_(std::forward<A>(awaitable)) {}

 private:
  friend state_type;
  context_holder newest_;
  context_node* oldest_;  // the first that was made: what is around it goes behind it
  A awaitable_;
};

}  // namespace detail

/// Awaits the last argument with variables set to values: `with_context(v, value, w, value,
/// awaitable)`.
///
/// Gives, throws: what it gives and throws. A value that is set twice counts as it was set last.
/// Keep alive: the variables. Allocates once for each value.
template <typename T, typename U, typename... Rest>
auto with_context(context_var<T>& variable, U&& value, Rest&&... rest);

// Implementation

namespace detail {

template <awaitable A>
auto set_contexts(context_holder newest, context_node* oldest, A&& awaitable) {
  return with_context_description<A>(std::move(newest), oldest, std::forward<A>(awaitable));
}
template <typename T, typename U, typename... Rest>
  requires(sizeof...(Rest) % 2 == 1)
auto set_contexts(context_holder newest, context_node* oldest, context_var<T>& variable, U&& value,
                  Rest&&... rest) {
  context_node* const made = new context_value<T>(&variable, std::forward<U>(value));
  made->next = newest.release();
  return set_contexts(context_holder(made), oldest != nullptr ? oldest : made,
                      std::forward<Rest>(rest)...);
}

template <typename A>
class with_context_state : nested_line {
 public:
  explicit with_context_state(with_context_description<A>&& d)
      : nested_line(kind, &with_context_state::just_end),
        newest_(std::move(d.newest_)),
        oldest_(d.oldest_),
        state_(static_cast<A&&>(d.awaitable_)) {}

  [[nodiscard]] bool start(scope& outer, continuation told) noexcept {
    oldest_->next = context_holder::share(outer.context()).release();
    inner_.open(outer);
    inner_.set_context(newest_.get());
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
  static constexpr leaf_kind kind{"with_context", &nested_line::pass_on, &nested_line::show_inner};

  context_holder newest_;
  context_node* oldest_;
  held_state_for<A> state_;
};

}  // namespace detail

template <typename T, typename U, typename... Rest>
auto with_context(context_var<T>& variable, U&& value, Rest&&... rest) {
  static_assert(sizeof...(Rest) % 2 == 1,
                "with_context: variables and values in turn, and what to await at the end");
  return detail::set_contexts(detail::context_holder(), nullptr, variable, std::forward<U>(value),
                              std::forward<Rest>(rest)...);
}

}  // namespace rondo
