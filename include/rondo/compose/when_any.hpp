// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// when_any and first_success: a race. The first to end wins, the others are canceled and waited
// for.
//
//     auto first = co_await when_any(stream.read(buffer), sleep_for(1s));   // index() tells who
//     auto page = co_await first_success(session.get(mirror1), session.get(mirror2));
//
// Race only what may be dropped. Plain operations lose nothing: the losers are canceled at the
// moment the winner's completion is recorded, and a message, a lock or a descriptor that nobody
// takes goes on to whoever is next, or is closed. But a coroutine that lost after it had a value
// loses that value, and so does a read whose bytes had already arrived; if each counts, use
// as_completed.

#include <cstddef>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <variant>

#include <rondo/compose/group.hpp>

namespace rondo {

namespace detail {
class first_end;
class first_value;
}  // namespace detail

/// What a race over a range gives. `any_result<void>` holds a std::monostate.
template <typename T>
struct any_result {
  std::size_t index;  // of the winner, in the range
  detail::slot<T> value;
};

/// Runs everything at once until the first has ended, with a value or an error.
///
/// Gives: a variant at the winner's index; void as std::monostate, T& as std::reference_wrapper<T>.
/// Completes when: one has ended, and the others, which it cancels, have ended too. Those that were
/// not started when somebody had already won are not started at all.
/// Throws: the winner's error. Errors of the others are reported as suppressed.
/// Canceled: cancels and waits for all; who still ends with a value or an error wins.
template <awaitable... A>
  requires(sizeof...(A) > 0)
auto when_any(A&&... awaitables) {
  return detail::arguments_description<detail::first_end, A...>(std::forward<A>(awaitables)...);
}

/// The same for a range; gives an any_result. Throws: std::invalid_argument for an empty range.
template <detail::awaitable_range R>
auto when_any(R&& range) {
  return detail::range_description<detail::first_end, R>(std::forward<R>(range));
}

/// Runs everything at once until the first has ended with a value.
///
/// Gives, completes when: as when_any, but an error does not win. Throws: if all fail, the last
/// error in time; the errors before it are reported as suppressed.
/// Canceled: cancels and waits for all; who still ends with a value wins.
template <awaitable... A>
  requires(sizeof...(A) > 0)
auto first_success(A&&... awaitables) {
  return detail::arguments_description<detail::first_value, A...>(std::forward<A>(awaitables)...);
}

/// The same for a range; gives an any_result. Throws: std::invalid_argument for an empty range.
template <detail::awaitable_range R>
auto first_success(R&& range) {
  return detail::range_description<detail::first_value, R>(std::forward<R>(range));
}

template <typename... A>
  requires detail::any_is_kept<A...>
void when_any(A&&...) {
  detail::must_be_given_away<A...>();
}
template <typename... A>
  requires detail::any_is_kept<A...>
void first_success(A&&...) {
  detail::must_be_given_away<A...>();
}

// Implementation

namespace detail {

class race {
 public:
  static void check_size(std::size_t size) {
    if (size == 0) throw std::invalid_argument("when_any: nobody takes part, so nobody can win");
  }
  [[nodiscard]] bool decided() const noexcept { return won_; }
  [[nodiscard]] outcome how() const noexcept { return how_; }

  template <typename... C>
  auto take(std::tuple<C...>& children, scope& line) {
    if (how_ != outcome::value) [[unlikely]] fail(children, line);
    report_others(children, decisive_, line);
    return take_variant<0, std::variant<decltype(std::declval<C&>().take_slot())...>>(children);
  }
  template <typename C>
  auto take(slots<C>& children, scope& line) {
    if (how_ != outcome::value) [[unlikely]] fail(children, line);
    report_others(children, decisive_, line);
    auto& winner = static_cast<C&>(*decisive_);
    using value = decltype(winner.take());
    return any_result<value>{static_cast<std::size_t>(&winner - children.begin()),
                             winner.take_slot()};
  }

 protected:
  void decide(child_base& c, outcome how) noexcept {
    decisive_ = &c;
    how_ = how;
  }
  bool won_ = false;

 private:
  template <std::size_t I, typename Variant, typename... C>
  Variant take_variant(std::tuple<C...>& children) {
    auto& c = std::get<I>(children);
    if constexpr (I + 1 < sizeof...(C)) {
      if (&c != decisive_) return take_variant<I + 1, Variant>(children);
    }
    return Variant(std::in_place_index<I>, c.take_slot());
  }
  template <typename Children>
  [[noreturn]] void fail(Children& children, scope& line) {
    report_others(children, decisive_, line);
    throw_error_of(decisive_, children);
  }

  child_base* decisive_ = nullptr;
  outcome how_ = outcome::canceled;
};

/// A value or an error wins. Cancellations count only when there is nothing else: somebody else's.
class first_end : public race {
 public:
  static constexpr const char* name = "when_any";
  bool note(child_base& c, outcome how) noexcept {
    if (won_) return false;
    won_ = how != outcome::canceled;
    decide(c, how);
    return won_;
  }
};

/// A value wins; without one, a cancellation counts (it was not theirs), and then the last error.
class first_value : public race {
 public:
  static constexpr const char* name = "first_success";
  bool note(child_base& c, outcome how) noexcept {
    if (won_) return false;
    won_ = how == outcome::value;
    if (won_ || how == outcome::canceled || !canceled_) decide(c, how);
    canceled_ = canceled_ || how == outcome::canceled;
    return won_;
  }

 private:
  bool canceled_ = false;
};

}  // namespace detail
}  // namespace rondo
