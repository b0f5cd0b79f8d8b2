// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// when_all: several things at once, all of their results. asyncio calls it gather, and so may you.
//
//     auto [a, b] = co_await when_all(session.get(x), session.get(y));  // a tuple
//     std::vector<page> pages = co_await when_all(std::move(tasks));    // a range: in its order
//     co_await when_all(all_of_them, max_concurrency{8});               // at most 8 at a time
//
// Children are started in order, at once; whatever is awaitable may be one. When one fails, the
// others are canceled and waited for, and the error is thrown: nothing is left running. For how
// each of them ended see compose/when_all_settled.hpp, for the first one compose/when_any.hpp.

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <rondo/compose/group.hpp>
#include <rondo/compose/lanes.hpp>

namespace rondo {

namespace detail {
class all_values;
template <typename T>
class all_values_of;
}  // namespace detail

/// Runs everything at once and gives all results as a tuple: void as std::monostate, T& as
/// std::reference_wrapper<T>.
///
/// Completes when: all have ended. The first error cancels the rest and is thrown when they have
/// ended; other errors are reported as suppressed.
/// Keep alive: what is given as an lvalue (handles); rvalues are moved in.
/// Canceled: cancels and waits for all; gives the values if all of them still succeeded.
template <awaitable... A>
auto when_all(A&&... awaitables) {
  return detail::arguments_description<detail::all_values, A...>(std::forward<A>(awaitables)...);
}

/// Runs every element of a range at once and gives their values in the order of the range; nothing
/// for elements of void.
///
/// Give a container of tasks away: `when_all(std::move(tasks))`. A view is read where it is
/// awaited.
/// Throws: what iterating throws, before anything was started; the first error of a child, after
/// all have ended. Allocates once for the children, once for the values.
template <detail::awaitable_range R>
auto when_all(R&& range) {
  using rule = detail::all_values_of<detail::range_result<R>>;
  return detail::range_description<rule, R>(std::forward<R>(range));
}

/// Runs the elements of a range, at most `limit` at a time, and gives their values in the order of
/// the range; nothing for elements of void.
///
/// Completes when, canceled: as when_all over a range; after an error nothing more is pulled.
/// Throws: std::invalid_argument for a limit of 0. What the range throws counts as a child's error.
template <detail::awaitable_range R>
auto when_all(R&& range, max_concurrency limit) {
  return detail::lanes_description<detail::keep_values, R>(std::forward<R>(range), limit);
}

template <typename... A>
  requires detail::any_is_kept<A...>
void when_all(A&&...) {
  detail::must_be_given_away<A...>();
}

/// The name that asyncio's users look for.
template <typename... A>
  requires requires(A&&... a) { when_all(std::forward<A>(a)...); }
auto gather(A&&... awaitables) {
  return when_all(std::forward<A>(awaitables)...);
}

// Implementation

namespace detail {

/// The first error decides and cancels the others. A real error beats a cancellation, whichever
/// came first.
class all_values {
 public:
  static constexpr const char* name = "when_all";
  static void check_size(std::size_t) noexcept {}
  [[nodiscard]] bool decided() const noexcept { return failed_ != nullptr; }

  bool note(child_base& c, outcome how) noexcept {
    if (how == outcome::value) [[likely]] return false;
    const bool first = failed_ == nullptr;
    if (first || (how_ == outcome::canceled && how == outcome::error)) {
      failed_ = &c;
      how_ = how;
    }
    return first;
  }
  [[nodiscard]] outcome how() const noexcept { return how_; }

  template <typename... C>
  auto take(std::tuple<C...>& children, scope& line) {
    check(children, line);
    return std::apply(
        [](auto&... c) { return std::tuple<decltype(c.take_slot())...>{c.take_slot()...}; },
        children);
  }
 protected:
  template <typename Children>
  void check(Children& children, scope& line) {
    if (failed_ != nullptr) [[unlikely]] fail(children, line);
  }

 private:
  template <typename Children>
  [[noreturn]] void fail(Children& children, scope& line) {
    report_others(children, failed_, line);
    throw_error_of(failed_, children);
  }

  child_base* failed_ = nullptr;
  outcome how_ = outcome::value;
};

/// For a range: the values in its order.
template <typename T>
class all_values_of : public all_values {
 public:
  void expect(std::size_t most) { values_.reserve(most); }
  template <typename C>
  void keep(C& child) noexcept {
    values_.push_back(child.take_slot());
  }
  template <typename C>
  std::vector<slot<T>> take(slots<C>& children, scope& line) {
    check(children, line);
    values_.reserve(children.capacity());
    for (auto& c : children) values_.push_back(c.take_slot());
    return std::move(values_);
  }

 private:
  std::vector<slot<T>> values_;
};
template <>
class all_values_of<void> : public all_values {
 public:
  void expect(std::size_t) noexcept {}
  template <typename C>
  void keep(C&) noexcept {}
  template <typename C>
  void take(slots<C>& children, scope& line) {
    check(children, line);
  }
};

}  // namespace detail
}  // namespace rondo
