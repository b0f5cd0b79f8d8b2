// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A range of awaitables that a combinator was given: what it yields, and what becomes of those that
// are not started. And what it should have been given.

#include <iterator>
#include <ranges>
#include <type_traits>
#include <utility>

#include <rondo/core/awaitable.hpp>

namespace rondo::detail {

/// What a range given as R (an lvalue reference, or an object to be moved in) yields for a child. A
/// container that is given away is emptied; a view is read.
template <typename R>
using element_of =
    std::conditional_t<std::is_lvalue_reference_v<R> || std::ranges::view<std::remove_cvref_t<R>>,
                       decltype(*std::begin(std::declval<R&>())),
                       decltype(std::move(*std::begin(std::declval<R&>())))>;

template <typename R>
concept awaitable_range = std::ranges::range<R> && awaitable<element_of<R>>;

/// What could be awaited, or a range of it, if it were given away and not const.
template <typename A>
concept is_kept =
    (!awaitable<A> && awaitable<std::remove_cvref_t<A>>) ||
    (std::ranges::range<A> && !awaitable_range<A> && awaitable_range<std::remove_cvref_t<A>>);
template <typename... A>
concept any_is_kept = (is_kept<A> || ...);

/// The sentence for those.
template <typename... A>
void must_be_given_away() {
  static_assert(!any_is_kept<A...>,
                "tasks are awaited once, so give them, or a container of them that is not const, "
                "away: when_all(std::move(tasks))");
}

template <typename R>
using range_result = await_result_t<element_of<R>>;

/// Drops what was given away in a container and not started: it was not forgotten, so a loop in
/// debug mode does not say so.
template <typename R>
void drop_the_rest(std::remove_reference_t<R>& range) noexcept {
  if constexpr (!std::is_reference_v<R> && !std::ranges::view<R> &&
                std::is_lvalue_reference_v<std::ranges::range_reference_t<R>>) {
    for (auto& each : range) {
      if constexpr (requires {
                      { static_cast<bool>(each) } noexcept;
                      requires std::is_nothrow_constructible_v<state_for<element_of<R>>,
                                                               element_of<R>>;
                    }) {
        if (each) static_cast<void>(state_for<element_of<R>>(std::move(each)));
      }
    }
  }
}

}  // namespace rondo::detail
