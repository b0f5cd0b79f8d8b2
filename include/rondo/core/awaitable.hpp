// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What `co_await` accepts, and how a rondo operation is awaited.
//
// Everything that rondo lets you await is two types:
// - a *description*: movable, storable, inert. `io::read(...)`, `sleep_for(1s)`, `when_all(a, b)`
// and a
//   `task` are descriptions. Making one and dropping it does nothing.
// - a *state*: made from the description where it will stay (in the frame of the coroutine that
//   awaits it, in the slot of a combinator), because the kernel and the loop point at it. It is
//   named `state_type` in the description and has three members:
//
//       bool start(scope&, continuation) noexcept;  // true: pending, the continuation will be told
//       outcome how() const noexcept;               // once it has ended
//       T take();                                   // the value, or throws; once
//
//   and perhaps a fourth, for those who want no exception:
//
//       error() const noexcept;                     // a std::error_code or std::exception_ptr
//
// Between start and the end a state is neither moved nor destroyed.

#include <concepts>
#include <coroutine>
#include <type_traits>
#include <utility>

#include <rondo/core/continuation.hpp>
#include <rondo/core/scope.hpp>

namespace rondo::detail {

enum class outcome : unsigned char { value, error, canceled };

template <typename A>
concept describes_operation = requires { typename std::remove_cvref_t<A>::state_type; };

template <describes_operation A>
struct state_of_impl {
  using type = typename std::remove_cvref_t<A>::state_type;
};
/// A handle that gives a reference into what it holds has another state for when it is given away.
template <describes_operation A>
  requires(!std::is_lvalue_reference_v<A>) &&
          requires { typename std::remove_cvref_t<A>::given_away_state_type; }
struct state_of_impl<A> {
  using type = typename std::remove_cvref_t<A>::given_away_state_type;
};
template <describes_operation A>
using state_of = typename state_of_impl<A>::type;

/// A rondo operation, in the value category in which it is to be awaited: one-shot descriptions are
/// rvalues, reusable ones (handles) may be lvalues.
template <typename A>
concept operation = describes_operation<A> && std::constructible_from<state_of<A>, A>;

template <typename T>
concept standard_awaiter = requires(T& awaiter) {
  { awaiter.await_ready() } -> std::convertible_to<bool>;
  awaiter.await_resume();
};

template <typename A>
concept has_member_co_await = requires(A&& a) { static_cast<A&&>(a).operator co_await(); };
template <typename A>
concept has_free_co_await = requires(A&& a) { operator co_await(static_cast<A&&>(a)); };

/// What other libraries' `co_await` accepts.
template <typename A>
concept foreign = !describes_operation<A> &&
                  (has_member_co_await<A> || has_free_co_await<A> || standard_awaiter<A>);

template <foreign A>
decltype(auto) standard_awaiter_of(A&& a) {
  if constexpr (has_member_co_await<A>) {
    return static_cast<A&&>(a).operator co_await();
  } else if constexpr (has_free_co_await<A>) {
    return operator co_await(static_cast<A&&>(a));
  } else {
    return static_cast<A&&>(a);
  }
}

template <typename A>
class foreign_state;  // core/foreign.hpp

template <typename A>
struct state_for_impl {};
template <operation A>
struct state_for_impl<A> {
  using type = state_of<A>;
};
template <foreign A>
struct state_for_impl<A> {
  using type = foreign_state<A>;
};

/// The state of anything awaitable. A foreign rvalue is moved into its state.
template <typename A>
using state_for = typename state_for_impl<A>::type;

/// A state whose start runs nobody's code, so that nobody can ask meanwhile where its line is: that
/// is noted only when it waits.
template <typename State>
concept only_waits = requires { requires State::only_waits; };

/// The awaiter of every rondo operation inside a rondo coroutine; that of a task is in
/// core/task.hpp.
template <typename State>
class awaiter {
 public:
  template <typename A, typename Promise>
  awaiter(A&& description, Promise&) : state_(std::forward<A>(description)) {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <typename Promise>
  [[nodiscard, gnu::always_inline]] bool await_suspend(
      std::coroutine_handle<Promise> coroutine,
      source_location place = source_location::current()) noexcept {
    scope& line = coroutine.promise().line();
    if constexpr (only_waits<State>) {
      if (!state_.start(line, continuation(coroutine))) return false;
      line.suspends_at(place);
      return true;
    } else {
      line.suspends_at(place);
      return state_.start(line, continuation(coroutine));
    }
  }
  decltype(auto) await_resume() { return state_.take(); }

 private:
  State state_;
};

/// The base of every description. Awaited in a coroutine that is not rondo's, it says so in words.
struct only_in_rondo {
  [[nodiscard]] bool await_ready() const noexcept { return false; }
  template <typename Promise>
  void await_suspend(std::coroutine_handle<Promise>) const noexcept {
    static_assert(
        sizeof(Promise) == 0,
        "rondo operations are awaited inside a rondo::task (or async_generator): they need "
        "its event loop and its cancellation scope");
  }
  void await_resume() const noexcept {}
};

}  // namespace rondo::detail

namespace rondo {

/// Whatever can be awaited in a task and given to a combinator: tasks, rondo's operations, and what
/// standard `co_await` accepts from other libraries.
template <typename A>
concept awaitable = detail::operation<A> || detail::foreign<A>;

/// What `co_await std::forward<A>(a)` gives.
template <awaitable A>
using await_result_t = decltype(std::declval<detail::state_for<A>&>().take());

}  // namespace rondo
