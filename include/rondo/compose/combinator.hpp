// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What all combinators share: children that run at once, and one count of those that have not
// ended.
//
// The count starts at one for the combinator itself while it starts its children. So "all ended at
// once" and "the last one ended later" are one and the same decrement, and nobody can be told
// before everybody was started.
//
// Each child is a line of work of its own, with a scope, so it can be canceled alone. It tells the
// combinator about its end directly (it holds a listener, not a coroutine), so a child that is a
// plain operation costs no frame.

#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>
#include <variant>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/held_task.hpp>
#include <rondo/core/observer.hpp>
#include <rondo/core/scope.hpp>

namespace rondo::detail {

/// What a value is stored as where a slot must exist: void as monostate, T& as
/// reference_wrapper<T>.
template <typename T>
struct slot_impl {
  using type = T;
};
template <>
struct slot_impl<void> {
  using type = std::monostate;
};
template <typename T>
struct slot_impl<T&> {
  using type = std::reference_wrapper<T>;
};
template <typename T>
using slot = typename slot_impl<T>::type;

class combinator;

/// A child, as far as the combinator's count is concerned.
struct child_base : leaver {
  using leaver::leaver;
  ~child_base() {
    if (linked()) unlink();
  }
  [[nodiscard]] bool started() const noexcept { return owner != nullptr; }
  [[nodiscard]] bool runs() const noexcept { return started() && !line.ended(); }

  combinator* owner = nullptr;
  scope line;
};

/// A child: the state of what it awaits, and the line it runs in. Group is the combinator's own
/// type, whose `child_ended(child&, outcome)` is told.
template <typename Group, typename State>
struct branch : child_base {
  using state_type = State;

  template <typename A>
  explicit branch(A&& awaitable) : child_base(&branch::ended), state(std::forward<A>(awaitable)) {}

  decltype(auto) take() { return state.take(); }

  /// The value as it is stored in a tuple, a variant or a vector.
  auto take_slot() -> slot<decltype(std::declval<State&>().take())> {
    if constexpr (std::is_void_v<decltype(state.take())>) {
      state.take();
      return {};
    } else {
      return state.take();
    }
  }

  /// It has ended at once, and its coroutine is not on the stack: in the line of who starts it.
  void let_go() noexcept {
    if constexpr (lets_go<State>) state.let_go();
  }

  State state;

 private:
  /// And only then it counts as ended: what it leaves behind is waited for.
  static void let_go_now(listener& self) noexcept {
    auto& c = static_cast<branch&>(self);
    loop_base& loop = c.line.loop();
    {
      const loop_base::running_in now(loop, c.line);
      c.let_go();
    }
    if (loop.defer_end(c.line, c)) [[unlikely]] return;
    static_cast<Group&>(*c.owner).one_less();
  }
  static void ended(listener& self) noexcept {
    auto& c = static_cast<branch&>(self);
    c.line.end();
    loop_base& loop = c.line.loop();
    if (loop.defer_end(c.line, c)) [[unlikely]] return;
    auto& group = static_cast<Group&>(*c.owner);
    group.child_ended(c, c.state.how());
    if constexpr (lets_go<State>) {
      c.notify = &branch::let_go_now;
      loop.let_go_later(c);
    } else {
      group.one_less();
    }
  }
};

class combinator : public leaf, public ready_node, public listener {
 public:
  combinator(const combinator&) = delete;
  combinator& operator=(const combinator&) = delete;

  /// A child that had been running has ended.
  void one_less() noexcept {
    if (--pending_ != 0) return;
    line_->leave();
    line_->loop().complete(*this);
  }

 protected:
  /// kind: its cancel asks every started child to end. start_later: called from the ready queue
  /// when `begin` had put the start off.
  combinator(const leaf_kind& kind, void (*start_later)(listener&) noexcept) noexcept
      : leaf{&kind}, listener{start_later} {}
  ~combinator() {
    RONDO_ASSERT(pending_ == 0, "a combinator was destroyed before its children ended");
  }

  /// The first lines of a start. False: the stack is deep, so the start was put off to the ready
  /// queue (a tree of combinators cannot overflow the stack); the combinator is pending.
  [[nodiscard]] bool begin(scope& line, continuation told) noexcept {
    line_ = &line;
    line.enter(*this);
    pending_ = 1;
    if (line.loop().stack_is_deep()) [[unlikely]] {
      told_ = told;
      waiter = continuation(static_cast<listener&>(*this));
      line.loop().push(*this);
      return false;
    }
    waiter = told;
    return true;
  }
  /// The first line of a start that had been put off; keep what it gives until the last.
  [[nodiscard]] loop_base::running_in begin_later() noexcept {
    waiter = told_;
    return {line_->loop(), *line_};
  }

  /// True: the child runs, and will tell about its end. False: it has ended already, and tells
  /// nobody.
  template <typename Child>
  [[nodiscard]] bool start_child(Child& c) noexcept {
    open_child(c);
    return run_child(c);
  }
  /// The first half: gives the child its line.
  void open_child(child_base& c) noexcept {
    c.owner = this;
    c.line.open(*line_);
  }
  /// The second half.
  template <typename Child>
  [[nodiscard]] bool run_child(Child& c) noexcept {
    loop_base& loop = line_->loop();
    const loop_base::running_in now(loop, c.line);
    if (!c.state.start(c.line, static_cast<listener&>(c))) {
      c.line.end();
      if (!loop.defer_end(c.line, c)) [[likely]] return false;
    }
    ++pending_;
    loop.settle();
    return true;
  }

  /// Counts a child that the combinator starts by other means than start_child.
  void one_more() noexcept { ++pending_; }

  /// The last line of a start: whether its waiter is told later, because children are still running
  /// or for the sake of others.
  [[nodiscard]] bool still_running() noexcept {
    if (--pending_ != 0) return true;
    line_->leave();
    return line_->loop().ready_at_once(*this);
  }
  /// The last line of a start that had been put off: the waiter sleeps already.
  void end_later_start() noexcept { one_less(); }

  [[nodiscard]] scope& line() const noexcept { return *line_; }

 private:
  std::size_t pending_ = 0;
  scope* line_ = nullptr;
  continuation told_;  // whom to tell, while the ready node is used to put off the start
};

}  // namespace rondo::detail
