// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// when_all_settled: several things at once, and how each of them ended. Nobody is canceled because
// another one failed. (asyncio: gather with return_exceptions.)
//
//     auto [a, b] = co_await when_all_settled(session.get(x), session.get(y));   // two
//     result<response>
//     if (a) use(*a); else log(a.error());

#include <cstddef>
#include <tuple>
#include <utility>
#include <vector>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/group.hpp>
#include <rondo/compose/lanes.hpp>

namespace rondo {

namespace detail {
class all_results;
}

/// Runs everything at once and gives a tuple of results.
///
/// Completes when: all have ended. Canceled: cancels and waits for all; their results say so.
template <awaitable... A>
auto when_all_settled(A&&... awaitables) {
  return detail::arguments_description<detail::all_results, A...>(std::forward<A>(awaitables)...);
}

/// Runs every element of a range at once and gives a vector of results, in the order of the range.
template <detail::awaitable_range R>
auto when_all_settled(R&& range) {
  return detail::range_description<detail::all_results, R>(std::forward<R>(range));
}

/// Runs the elements of a range, at most `limit` at a time. Throws: std::invalid_argument for a
/// limit of 0; what the range throws, when all that were started have ended.
/// Canceled: cancels those that were started, waits for them, and starts no others. The results of
/// those say that they were canceled; of a range whose size is not known there are none.
template <detail::awaitable_range R>
auto when_all_settled(R&& range, max_concurrency limit) {
  return detail::lanes_description<detail::keep_results, R>(std::forward<R>(range), limit);
}

template <typename... A>
  requires detail::any_is_kept<A...>
void when_all_settled(A&&...) {
  detail::must_be_given_away<A...>();
}

// Implementation

namespace detail {

class all_results {
 public:
  static constexpr const char* name = "when_all_settled";
  static void check_size(std::size_t) noexcept {}
  [[nodiscard]] bool decided() const noexcept { return false; }
  bool note(child_base&, outcome) noexcept { return false; }
  [[nodiscard]] outcome how() const noexcept { return outcome::value; }

  template <typename... C>
  auto take(std::tuple<C...>& children, scope&) {
    return std::apply(
        [](auto&... c) {
          return std::tuple<decltype(take_result(c.state))...>{take_result(c.state)...};
        },
        children);
  }
  template <typename C>
  auto take(slots<C>& children, scope&) {
    std::vector<decltype(take_result(children[0].state))> results;
    results.reserve(children.size());
    for (auto& c : children) results.push_back(take_result(c.state));
    return results;
  }
};

}  // namespace detail
}  // namespace rondo
