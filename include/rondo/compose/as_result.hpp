// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// as_result: how something ended, as a value instead of an exception.
//
//     rondo::result<std::size_t> r = co_await as_result(stream.read(buffer));
//     if (!r && r.error() == std::errc::connection_reset) ...
//
// A cancellation becomes a value as well (errc::canceled); the next operation still throws it.

#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/held_task.hpp>
#include <rondo/core/result.hpp>

namespace rondo {

namespace detail {
template <typename A>
class as_result_state;

template <typename A>
class [[nodiscard("as_result does nothing until it is awaited")]] as_result_description
    : public only_in_rondo {
 public:
  using state_type = as_result_state<A>;
  explicit as_result_description(A&& awaitable) : awaitable_(std::forward<A>(awaitable)) {}

 private:
  friend state_type;
  A awaitable_;
};
}  // namespace detail

/// Awaits something and gives a result, whatever happens from its start on. For an I/O operation nothing is thrown
/// and nothing allocated on the way.
template <awaitable A>
auto as_result(A&& awaitable) {
  return detail::as_result_description<A>(std::forward<A>(awaitable));
}

// Implementation

namespace detail {

/// The result of a state that has ended; instead of take().
template <typename State>
auto take_result(State& state) -> result<decltype(state.take())> {
  using value = decltype(state.take());
  const outcome how = state.how();
  if (how == outcome::canceled) return {unexpect, make_error_code(errc::canceled)};
  if constexpr (requires { state.error(); }) {
    if (how == outcome::error) return {unexpect, state.error()};
  }
  try {
    if constexpr (std::is_void_v<value>) {
      state.take();
      return result<value>(std::in_place);
    } else {
      return result<value>(std::in_place, state.take());
    }
  } catch (...) {
    return {unexpect, std::current_exception()};
  }
}

template <typename A>
class as_result_state {
 public:
  explicit as_result_state(as_result_description<A>&& d)
      : state_(static_cast<A&&>(d.awaitable_)) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    return state_.start(line, told);
  }
  [[nodiscard]] outcome how() const noexcept { return outcome::value; }
  auto take() { return take_result(state_); }
  void let_go() noexcept
    requires lets_go<held_state_for<A>>
  {
    state_.let_go();
  }

 private:
  held_state_for<A> state_;
};

}  // namespace detail
}  // namespace rondo
