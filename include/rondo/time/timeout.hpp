// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// with_timeout: a limit on how long something may take.
//
//     auto page = co_await with_timeout(5s, session.get(url));      // throws timeout_error
//     auto page = co_await try_for(5s, session.get(url));           // nullopt (for void: false) then
//     co_await with_timeout(5s, [](timeout_scope& limit) -> task<> {      // try_for takes one, too
//       ...
//       limit.reschedule(later);
//     });
//
// The limit cancels what runs under it and waits for its end, so nothing is left behind. If that
// ends with a value all the same, the value counts. When the task around it was canceled too, the
// cancellation goes on: a timeout inside does not hide it.

#include <chrono>
#include <new>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rondo/compose/combinator.hpp>
#include <rondo/core/closure.hpp>
#include <rondo/core/nested_line.hpp>
#include <rondo/core/spawned.hpp>
#include <rondo/core/task.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/time/time_limit.hpp>

namespace rondo {

namespace detail {

template <typename A>
class limited;
template <typename A>
class timeout_state;
template <typename F, typename... Args>
class timeout_body_state;
template <typename Limited>
class trying;

template <typename A>
using try_for_state = trying<timeout_state<A>>;
template <typename F, typename... Args>
using try_for_body_state = trying<timeout_body_state<F, Args...>>;

template <template <typename> typename State, typename A>
class [[nodiscard("a timeout does nothing until it is awaited")]] timeout_description
    : public only_in_rondo {
 public:
  using state_type = State<A>;
  timeout_description(time_limit limit, A&& awaitable)
      : limit_(limit), awaitable_(std::forward<A>(awaitable)) {}

 private:
  friend timeout_state<A>;
  time_limit limit_;
  A awaitable_;
};

template <template <typename, typename...> typename State, typename F, typename... Args>
class [[nodiscard("a timeout does nothing until it is awaited")]] timeout_body_description
    : public only_in_rondo {
 public:
  using state_type = State<F, Args...>;
  template <typename Body, typename... Given>
  explicit timeout_body_description(time_limit limit, Body&& body, Given&&... args)
      : limit_(limit), body_(std::forward<Body>(body)), args_(std::forward<Given>(args)...) {}

 private:
  friend timeout_body_state<F, Args...>;
  time_limit limit_;
  F body_;
  std::tuple<Args...> args_;
};

template <template <typename, typename...> typename State, typename F, typename... Args>
auto limit_body(time_limit limit, F&& body, Args&&... args) {
  mind_closure<F>();
  return timeout_body_description<State, std::decay_t<F>, std::decay_t<Args>...>(
      limit, std::forward<F>(body), std::forward<Args>(args)...);
}

}  // namespace detail

/// A limit that is running, as the body under it sees it. Ends with the body.
class timeout_scope : detail::nested_line, detail::timer {
 public:
  timeout_scope(const timeout_scope&) = delete;
  timeout_scope& operator=(const timeout_scope&) = delete;

  /// Moves the limit; a moment that has passed ends the body now. Nothing happens if it has
  /// expired.
  void reschedule(time_point deadline) noexcept;
  [[nodiscard]] time_point deadline() const noexcept { return detail::timer::deadline; }
  /// Whether the body is being canceled because of the limit.
  [[nodiscard]] bool expired() const noexcept { return timed_out_; }

 private:
  template <typename>
  friend class detail::limited;
  template <typename>
  friend class detail::timeout_state;
  template <typename, typename...>
  friend class detail::timeout_body_state;
  template <typename>
  friend class detail::trying;

  explicit timeout_scope(detail::time_limit limit) noexcept
      : nested_line(kind, &timeout_scope::ended),
        timer(&timeout_scope::due),
        limit_(limit) {}

  template <typename State>
  [[nodiscard]] bool start(State& child, detail::scope& outer, detail::continuation told) noexcept;

  /// Whether a cancellation inside came from here alone.
  [[nodiscard]] bool decided() const noexcept {
    return (timed_out_ || no_memory_) && !outer().canceled();
  }
  [[noreturn]] void raise() const {
    if (no_memory_) throw std::bad_alloc();
    throw timeout_error(deadline());
  }

  [[nodiscard]] detail::engine& loop() const noexcept {
    return static_cast<detail::engine&>(outer().loop());
  }
  void arm(time_point deadline) noexcept;
  static void due(timer& self) noexcept;
  static void ended(listener& self) noexcept;
  static void show(leaf& self, detail::observer& to) {
    auto& state = static_cast<timeout_scope&>(self);
    to.due(state.deadline().time_since_epoch().count());
    show_inner(self, to);
  }
  static constexpr detail::leaf_kind kind{"with_timeout", &nested_line::pass_on, &show};

  detail::time_limit limit_;
  bool timed_out_ = false;
  bool no_memory_ = false;
};

/// Awaits something for at most this long, measured from the start of the await.
///
/// Gives: what it gives. A limit of zero or less starts it and takes what ends without waiting.
/// Throws: timeout_error when the limit canceled it; its own errors.
template <typename Rep, typename Period, awaitable A>
auto with_timeout(std::chrono::duration<Rep, Period> limit, A&& awaitable) {
  return detail::timeout_description<detail::timeout_state, A>(detail::time_limit(limit),
                                                               std::forward<A>(awaitable));
}
/// The same until a moment of the loop's clock, usually the steady one.
template <awaitable A>
auto with_deadline(time_point deadline, A&& awaitable) {
  return detail::timeout_description<detail::timeout_state, A>(detail::time_limit(deadline),
                                                               std::forward<A>(awaitable));
}

/// The same for a function that gives a task, `body(timeout_scope&, args...)`, which can look at
/// the limit and move it. It and its arguments are kept until the task has ended.
template <typename Rep, typename Period, typename F, typename... Args>
  requires std::invocable<std::decay_t<F>&, timeout_scope&, std::decay_t<Args>...>
auto with_timeout(std::chrono::duration<Rep, Period> limit, F&& body, Args&&... args) {
  return detail::limit_body<detail::timeout_body_state>(
      detail::time_limit(limit), std::forward<F>(body), std::forward<Args>(args)...);
}
template <typename F, typename... Args>
  requires std::invocable<std::decay_t<F>&, timeout_scope&, std::decay_t<Args>...>
auto with_deadline(time_point deadline, F&& body, Args&&... args) {
  return detail::limit_body<detail::timeout_body_state>(
      detail::time_limit(deadline), std::forward<F>(body), std::forward<Args>(args)...);
}

/// Awaits something for at most this long. Gives an optional, empty when time was up; a bool for
/// void.
/// Throws: its own errors.
template <typename Rep, typename Period, awaitable A>
auto try_for(std::chrono::duration<Rep, Period> limit, A&& awaitable) {
  return detail::timeout_description<detail::try_for_state, A>(detail::time_limit(limit),
                                                               std::forward<A>(awaitable));
}
/// The same for a function, as with_timeout takes it.
template <typename Rep, typename Period, typename F, typename... Args>
  requires std::invocable<std::decay_t<F>&, timeout_scope&, std::decay_t<Args>...>
auto try_for(std::chrono::duration<Rep, Period> limit, F&& body, Args&&... args) {
  return detail::limit_body<detail::try_for_body_state>(
      detail::time_limit(limit), std::forward<F>(body), std::forward<Args>(args)...);
}

// Implementation

template <typename State>
bool timeout_scope::start(State& child, detail::scope& outer, detail::continuation told) noexcept {
  inner_.open(outer);
  if (!run(child, outer, told)) return waits_a_turn();  // nobody needed to look at the clock
  if (limit_.is_over(loop())) {
    loop().settle();
    timer::deadline = loop().turn_time();
    due(*this);  // harmless if it has ended meanwhile
  } else {
    arm(limit_.deadline(loop()));
  }
  return true;
}

inline void timeout_scope::arm(time_point deadline) noexcept {
  if (loop().timers().arm(*this, deadline)) return;
  no_memory_ = true;
  inner_.cancel();
}

inline void timeout_scope::reschedule(time_point deadline) noexcept {
  if (timed_out_ || no_memory_) return;
  if (armed()) {
    loop().timers().disarm(*this);
    arm(deadline);
    loop().rouse();
  } else {
    limit_ = detail::time_limit(deadline);  // the body has not waited yet
    timer::deadline = deadline;
  }
}

inline void timeout_scope::due(timer& self) noexcept {
  auto& t = static_cast<timeout_scope&>(self);
  t.timed_out_ = true;
  t.inner_.cancel();
}

inline void timeout_scope::ended(listener& self) noexcept {
  auto& t = static_cast<timeout_scope&>(self);
  if (t.armed()) t.loop().timers().disarm(t);
  t.end();
}

namespace detail {

/// What runs under a limit. make(scope): what that is, once there is the limit.
template <typename A>
class limited {
 public:
  [[nodiscard]] outcome how() const noexcept { return timed_out() ? outcome::error : state_.how(); }
  decltype(auto) take() {
    if (timed_out()) [[unlikely]] scope_.raise();
    return state_.take();
  }
  void let_go() noexcept
    requires lets_go<held_state_for<A>>
  {
    state_.let_go();
  }

 protected:
  template <typename Make>
  limited(time_limit limit, Make make) : scope_(limit), state_(make(scope_)) {}

  [[nodiscard]] bool timed_out() const noexcept {
    return scope_.decided() && state_.how() == outcome::canceled;
  }

  timeout_scope scope_;
  held_state_for<A> state_;
};

template <typename A>
class timeout_state : public limited<A> {
 public:
  template <template <typename> typename State>
  explicit timeout_state(timeout_description<State, A>&& d)
      : limited<A>(d.limit_, [&](auto&) -> A&& { return static_cast<A&&>(d.awaitable_); }) {}

  [[nodiscard]] bool start(scope& outer, continuation told) noexcept {
    return this->scope_.start(this->state_, outer, told);
  }
};

template <typename F, typename... Args>
class timeout_body_state
    : kept_call<F, Args...>, public limited<std::invoke_result_t<F&, timeout_scope&, Args...>> {
  using base = limited<std::invoke_result_t<F&, timeout_scope&, Args...>>;

 public:
  template <template <typename, typename...> typename State>
  explicit timeout_body_state(timeout_body_description<State, F, Args...>&& d)
      : kept_call<F, Args...>{std::move(d.body_), std::move(d.args_)},
        base(d.limit_, [this](timeout_scope& limit) { return this->call(limit); }) {}

  [[nodiscard]] bool start(scope& outer, continuation told) noexcept {
    timeout_scope& limit = this->scope_;
    const auto& loop = static_cast<engine&>(outer.loop());
    const bool over = limit.limit_.is_over(loop);
    limit.timer::deadline = limit.limit_.deadline(loop);
    if (!over) limit.limit_ = time_limit(limit.deadline());  // it runs already
    return limit.start(this->state_, outer, told);
  }
};

/// With nothing as a value, when time was up.
template <typename Limited>
class trying : Limited {
  using value = decltype(std::declval<Limited&>().take());

 public:
  using Limited::let_go;
  using Limited::Limited;
  using Limited::start;
  [[nodiscard]] outcome how() const noexcept {
    return gave_up() ? outcome::value : Limited::how();
  }
  auto take() {
    if constexpr (std::is_void_v<value>) {
      if (gave_up()) return false;
      Limited::take();
      return true;
    } else {
      using given = std::optional<slot<value>>;
      return gave_up() ? given() : given(Limited::take());
    }
  }

 private:
  [[nodiscard]] bool gave_up() const noexcept {
    return this->timed_out() && this->scope_.expired();
  }
};

}  // namespace detail
}  // namespace rondo
