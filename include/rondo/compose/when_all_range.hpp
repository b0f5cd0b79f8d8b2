// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// when_all over a range: all elements at once. One allocation holds the slots of all children, one more
// the vector of results. For at most n at a time see compose/when_all_bounded.hpp.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include <rondo/compose/combinator.hpp>
#include <rondo/detail/frame_pool.hpp>

namespace rondo {

namespace detail {

/// What a range given as R (an lvalue reference, or an object to be moved in) yields for a child. A
/// container that is given away is emptied; a view is read.
template <typename R>
using element_of = std::conditional_t<
    std::is_lvalue_reference_v<R> || std::ranges::view<std::remove_cvref_t<R>>,
    decltype(*std::begin(std::declval<R&>())), decltype(std::move(*std::begin(std::declval<R&>())))>;

template <typename R>
concept awaitable_range = std::ranges::range<R> && awaitable<element_of<R>>;

/// A range of what could be awaited if it were given away.
template <typename R>
concept kept_range = std::is_lvalue_reference_v<R> && std::ranges::range<R> &&
                     !awaitable_range<R> && awaitable_range<std::remove_reference_t<R>>;

template <typename R>
using range_result = await_result_t<element_of<R>>;

template <typename R>
class when_all_range_state;

template <typename R>
class [[nodiscard("when_all does nothing until it is awaited")]] when_all_range_description
    : public only_in_rondo {
 public:
  using state_type = when_all_range_state<R>;
  explicit when_all_range_description(R&& range) : range_(std::forward<R>(range)) {}

 private:
  friend state_type;
  R range_;
};

}  // namespace detail

/// Runs every element of a range at once and gives their values in the order of the range; nothing for
/// elements of void.
///
/// Give a container of tasks away: `when_all(std::move(tasks))`. A view is read where it is awaited.
/// Throws: what iterating throws, before anything was started; the first error of a child, after all
/// have ended. Allocates once for the children, once for the values.
template <detail::awaitable_range R>
[[nodiscard]] auto when_all(R&& range) {
  return detail::when_all_range_description<R>(std::forward<R>(range));
}

template <detail::kept_range R>
void when_all(R&&, auto...) {
  static_assert(!detail::kept_range<R>,
                "tasks are awaited once, so give the container away: when_all(std::move(tasks))");
}

// Implementation

namespace detail {

/// A fixed number of objects that never move, in one allocation.
template <typename T>
class slots {
 public:
  explicit slots(std::size_t capacity)
      : items_(static_cast<T*>(allocate_frame(bytes(capacity)))), capacity_(capacity) {
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  }
  slots(const slots&) = delete;
  slots& operator=(const slots&) = delete;
  ~slots() {
    std::destroy_n(items_, size_);
    free_frame(items_, bytes(capacity_));
  }
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    RONDO_ASSERT(size_ < capacity_, "more slots than were counted");
    T& made = *std::construct_at(items_ + size_, std::forward<Args>(args)...);
    ++size_;
    return made;
  }
  [[nodiscard]] bool full() const noexcept { return size_ == capacity_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T* begin() noexcept { return items_; }
  [[nodiscard]] T* end() noexcept { return items_ + size_; }

 private:
  static std::size_t bytes(std::size_t capacity) noexcept {
    return std::max<std::size_t>(capacity, 1) * sizeof(T);
  }

  T* items_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

template <typename R>
class when_all_range_state : public combinator {
  using child_type = child<when_all_range_state, state_for<element_of<R>>>;
  using result = range_result<R>;
  using value_type = std::conditional_t<std::is_void_v<result>, void, std::vector<slot<result>>>;

 public:
  explicit when_all_range_state(when_all_range_description<R>&& description)
      : combinator(&when_all_range_state::cancel_children, &when_all_range_state::start_later),
        children_(count(description.range_)) {
    auto&& range = description.range_;
    for (auto it = std::begin(range); it != std::end(range); ++it) {
      children_.emplace_back(static_cast<element_of<R>>(*it));
    }
  }

  [[nodiscard]] bool start(scope& parent, continuation told) noexcept {
    if (!begin(parent, told)) return true;
    start_children();
    return still_running();
  }

  [[nodiscard]] outcome how() const noexcept { return error_.how(); }

  value_type take() {
    if (error_) [[unlikely]] rethrow();
    if constexpr (!std::is_void_v<result>) {
      value_type values;
      values.reserve(children_.size());
      for (auto& c : children_) values.push_back(c.take_slot());
      return values;
    }
  }

  void child_ended(child_base& c, outcome how) noexcept {
    if (how != outcome::value && error_.note(c, how)) [[unlikely]] cancel(*this);
  }

 private:
  static std::size_t count(std::remove_reference_t<R>& range) {
    if constexpr (std::ranges::sized_range<R>) {
      return std::ranges::size(range);
    } else {
      static_assert(std::ranges::forward_range<R>,
                    "when_all needs to know how many there are: collect them in a vector, or give "
                    "max_concurrency");
      return static_cast<std::size_t>(std::distance(std::begin(range), std::end(range)));
    }
  }

  void start_children() noexcept {
    for (auto& c : children_) {
      if (error_) break;  // the remaining ones are not started at all
      if (!start_child(c)) child_ended(c, c.state.how());
    }
  }
  static void start_later(listener& self) noexcept {
    auto& state = static_cast<when_all_range_state&>(self);
    state.begin_later();
    state.start_children();
    state.end_later_start();
  }
  static void cancel_children(leaf& self) noexcept {
    for (auto& c : static_cast<when_all_range_state&>(self).children_) {
      if (c.started()) c.line.cancel();
    }
  }
  [[noreturn]] void rethrow() {
    for (auto& c : children_) {
      if (!error_.is(c)) report_suppressed(line(), c);
    }
    for (auto& c : children_) {
      if (error_.is(c)) c.take();
    }
    __builtin_unreachable();
  }

  slots<child_type> children_;
  first_error error_;
};

}  // namespace detail
}  // namespace rondo
