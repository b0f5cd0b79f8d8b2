// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// when_all: several things at once, all of their results. asyncio calls it gather, and so may you.
//
//     auto [a, b] = co_await when_all(session.get(x), session.get(y));      // a tuple
//     std::vector<page> pages = co_await when_all(std::move(tasks));        // a range: in its order
//     co_await when_all(all_of_them, max_concurrency{8});                   // at most 8 at a time
//
// Children are started in order, at once; whatever is awaitable may be one. When one fails, the others
// are canceled and waited for, and the error is thrown: nothing is left running. For several outcomes
// without that, see the other combinators in this folder.

#include <cstddef>
#include <tuple>
#include <utility>

#include <rondo/compose/combinator.hpp>
#include <rondo/compose/when_all_bounded.hpp>
#include <rondo/compose/when_all_range.hpp>

namespace rondo {

namespace detail {
template <typename... A>
class when_all_state;

template <typename... A>
class [[nodiscard("when_all does nothing until it is awaited")]] when_all_description
    : public only_in_rondo {
 public:
  using state_type = when_all_state<A...>;

  explicit when_all_description(A&&... awaitables) : awaitables_(std::forward<A>(awaitables)...) {}

 private:
  friend state_type;
  std::tuple<A...> awaitables_;
};
}  // namespace detail

/// Runs everything at once and gives all results as a tuple: void as std::monostate, T& as
/// std::reference_wrapper<T>.
///
/// Completes when: all have ended. The first error cancels the rest and is thrown when they have ended;
/// other errors are reported as suppressed.
/// Keep alive: what is given as an lvalue (handles); rvalues are moved in.
/// Canceled: cancels and waits for all; gives the values if all of them still succeeded.
template <awaitable... A>
[[nodiscard]] auto when_all(A&&... awaitables) {
  return detail::when_all_description<A...>(std::forward<A>(awaitables)...);
}

/// The name that asyncio's users look for.
template <typename... A>
  requires requires(A&&... a) { when_all(std::forward<A>(a)...); }
[[nodiscard]] auto gather(A&&... awaitables) {
  return when_all(std::forward<A>(awaitables)...);
}

// Implementation

namespace detail {

template <typename... A>
class when_all_state : public combinator {
 public:
  using value_type = std::tuple<slot<await_result_t<A>>...>;

  explicit when_all_state(when_all_description<A...>&& description)
      : when_all_state(std::move(description), std::index_sequence_for<A...>()) {}

  [[nodiscard]] bool start(scope& parent, continuation told) noexcept {
    if (!begin(parent, told)) return true;
    start_children();
    return still_running();
  }

  [[nodiscard]] outcome how() const noexcept { return error_.how(); }

  value_type take() {
    if (error_) [[unlikely]] rethrow();
    return std::apply([](auto&... c) { return value_type{c.take_slot()...}; }, children_);
  }

  void child_ended(child_base& c, outcome how) noexcept {
    if (how != outcome::value && error_.note(c, how)) [[unlikely]] cancel(*this);
  }

 private:
  template <std::size_t... I>
  when_all_state(when_all_description<A...>&& description, std::index_sequence<I...>)
      : combinator(&when_all_state::cancel_children, &when_all_state::start_later),
        children_(static_cast<A&&>(std::get<I>(description.awaitables_))...) {}

  void start_children() noexcept {
    // After an error the remaining ones are not started at all.
    const auto start_one = [this](auto& c) {
      if (!error_ && !start_child(c)) child_ended(c, c.state.how());
    };
    std::apply([&](auto&... c) { (start_one(c), ...); }, children_);
  }

  static void start_later(listener& self) noexcept {
    auto& state = static_cast<when_all_state&>(self);
    state.begin_later();
    state.start_children();
    state.end_later_start();
  }

  static void cancel_children(leaf& self) noexcept {
    auto& state = static_cast<when_all_state&>(self);
    std::apply([](auto&... c) { ((c.started() ? c.line.cancel() : void()), ...); }, state.children_);
  }

  [[noreturn]] void rethrow() {
    std::apply(
        [&](auto&... c) {
          ((error_.is(c) ? void() : report_suppressed(line(), c)), ...);
          ((error_.is(c) ? static_cast<void>(c.take()) : void()), ...);
        },
        children_);
    __builtin_unreachable();
  }

  std::tuple<child<when_all_state, state_for<A>>...> children_;
  first_error error_;
};

}  // namespace detail
}  // namespace rondo
