// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What may run next, and the one function that resumes coroutines.
//
// `loop_base` is all of a loop that tasks, combinators and locks need: a queue of what is ready,
// and a way to run it. `event_loop` adds the kernel, time and other threads; a test drives it by
// hand:
//
//     loop.push(node);                            // later: from run_ready, never from inside push
//     while (loop.has_ready()) loop.run_ready(64);
//
// Who resumes. A coroutine is only ever resumed from `resume_now` below, or started by whoever
// awaits it (`task_state::start`), which nests. When a coroutine ends and its awaiter is asleep, it
// does not resume the awaiter itself: it leaves it in the *bounce slot* and returns, and
// `resume_now`, to which it returns, goes on with what it finds there. So nothing is ever resumed
// from inside something that ends, a frame is never destroyed while its own code is on the stack,
// and a chain of a million sleeping tasks unwinds in constant stack, in every build mode of every
// compiler (symmetric transfer is a jump only in some of them).
//
// Starting nests as long as the stack is shallow, because a call that returns is what processors
// predict best. Once it is `stack_budget` deep, the child goes through the bounce slot as well.
//
// One slot is enough: whoever fills it returns at once, through frames that only suspend, to the
// nearest `resume_now` or `settle`. A combinator, which starts several children in a row, calls
// `settle` after each of them.

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/core/continuation.hpp>
#include <rondo/detail/intrusive_list.hpp>
#include <rondo/detail/stack.hpp>

namespace rondo {
struct unhandled_error;
}

namespace rondo::detail {

/// An entry of the queue. It lives in whatever waits, so queuing never allocates.
struct ready_node {
  ready_node* next = nullptr;
  continuation waiter;
};

class loop_base;
class roll_call;  // core/roll_call.hpp
class scope;

/// Something that has children and was dropped while they run; see compose/as_completed.hpp.
struct orphan : list_hook {
  scope* left_by = nullptr;  // whose end waits for it
  listener* told = nullptr;  // notified then
};
struct context_node;  // core/context.hpp

/// Who runs: a coroutine, or something that a line has just started, or nobody. One word, written
/// each time that something is resumed and read when somebody asks for a context variable.
class running_code {
 public:
  running_code() noexcept = default;
  explicit running_code(std::coroutine_handle<> coroutine) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(coroutine.address())) {}
  explicit running_code(scope& line) noexcept
      : word_(reinterpret_cast<std::uintptr_t>(&line) | line_bit) {}

  [[nodiscard]] scope* line() const noexcept;  // core/promise.hpp; null: nobody runs

 private:
  static constexpr std::uintptr_t line_bit = 1;
  std::uintptr_t word_ = 0;
};

/// What tasks wait for that neither the kernel nor a timer will bring, in numbers. Counted on the
/// loop's thread; virtual time asks for it (loop/loop_clock.hpp).
struct waits_outside {
  std::size_t certain = 0;   // for what ends by itself: a call on a thread, a foreign awaitable
  std::size_t possible = 0;  // for what another thread may bring
};

/// The loop that this thread runs at the moment.
RONDO_VISIBLE inline constinit thread_local loop_base* running_loop = nullptr;

class loop_base {
 public:
  loop_base(const loop_base&) = delete;
  loop_base& operator=(const loop_base&) = delete;

  /// Tells the node's waiter in the next turn, never from inside this call.
  void push(ready_node& node) noexcept {
    node.next = nullptr;
    if (head_ != nullptr) {
      tail_->next = &node;
    } else {
      head_ = &node;
      rouse();
    }
    tail_ = &node;
  }

  /// For what completes by itself: a listener is told now, a coroutine is queued.
  void complete(ready_node& node) noexcept {
    if (node.waiter.is_listener()) {
      node.waiter.notify();
    } else {
      push(node);
    }
  }

  /// Like push, from whatever thread: wakes the loop if it sleeps.
  void push_from_anywhere(ready_node& node) noexcept {
    if (running_loop == this || deliver_ == nullptr) {
      push(node);
    } else {
      deliver_(*this, node);
    }
  }

  /// For an operation that is ready when it starts: whether it is to wait a turn all the same. One
  /// in 128 does, so that a task which never has to wait cannot keep the others from running.
  [[nodiscard]] bool ready_at_once(ready_node& node) noexcept {
    if ((++ready_at_once_ & 127) != 0) [[likely]] return false;
    push(node);
    return true;
  }

  [[nodiscard]] bool has_ready() const noexcept { return head_ != nullptr; }

  /// Tells those who are ready, first come, first served, newcomers included: at most `limit` of
  /// them, so that nobody who is always ready keeps the loop from looking outside.
  void run_ready(unsigned limit) noexcept {
    for (share_ = limit; share_ != 0 && head_ != nullptr; --share_) {
      ready_node& node = *std::exchange(head_, head_->next);
      const continuation told = node.waiter;  // the node may be gone once its waiter was told
      if (told.is_listener()) {
        told.notify();
        settle();
      } else {
        resume_now(told.coroutine());
      }
    }
  }

  /// From inside run_ready: the one who is told now is the last.
  void end_turn() noexcept { share_ = 1; }

  /// Leaves a coroutine for the nearest `resume_now` or `settle`; the caller returns to it at once.
  void bounce(std::coroutine_handle<> coroutine) noexcept {
    RONDO_ASSERT(!bounced_, "two coroutines in the bounce slot: a combinator did not settle");
    bounced_ = coroutine;
  }

  /// Resumes what the last start left in the bounce slot.
  void settle() noexcept {
    if (bounced_) [[unlikely]] {
      resume_now(std::exchange(bounced_, nullptr));
    }
  }

  /// Whether starts should go through the bounce slot rather than nest.
  [[nodiscard]] bool stack_is_deep() const noexcept { return stack_pointer() < deepest_; }

  /// Whose code runs now.
  [[nodiscard]] running_code running() const noexcept { return running_; }

  /// While this exists, what runs belongs to this line: for those who start something that the
  /// coroutine that runs does not await.
  class running_in {
   public:
    running_in(loop_base& loop, scope& line) noexcept
        : loop_(loop), before_(std::exchange(loop.running_, running_code(line))) {}
    running_in(const running_in&) = delete;
    running_in& operator=(const running_in&) = delete;
    ~running_in() { loop_.running_ = before_; }

   private:
    loop_base& loop_;
    running_code before_;
  };

  /// Keeps what was dropped while its children run, for the line that runs now: that line does not
  /// count as ended before it.
  void leave_behind(orphan& o) noexcept;
  [[nodiscard]] bool any_orphans() const noexcept { return !orphans_.empty(); }
  /// By a line that ends: true if it has left something behind. `told` is notified again when that
  /// has ended.
  [[nodiscard]] bool defer_end(scope& line, listener& told) noexcept {
    return any_orphans() && find_orphan(line, told);
  }
  /// By a line inside another that ends: what it has left behind is the other's.
  void rehome_orphans(scope& inner, scope& outer) noexcept {
    orphans_.for_each([&](orphan& o) {
      if (o.left_by == &inner) o.left_by = &outer;
    });
  }
  void orphan_ended(orphan& o) noexcept;

  /// There is something to do: tells whoever drives the loop, if that is somebody else and they
  /// wait.
  void rouse() noexcept {
    if (on_rouse_ != nullptr) [[unlikely]] std::exchange(on_rouse_, nullptr)(*this);
  }

  [[nodiscard]] waits_outside& outside() noexcept { return outside_; }
  /// Null unless somebody asks.
  [[nodiscard]] roll_call* roll_call_held() const noexcept { return roll_call_; }

  /// Reports an error that nobody awaits.
  void report(unhandled_error&& error) noexcept {
    if (report_ != nullptr) report_(*this, std::move(error));
  }

 protected:
  using report_function = void (*)(loop_base&, unhandled_error&&) noexcept;
  using deliver_function = void (*)(loop_base&, ready_node&) noexcept;
  using rouse_function = void (*)(loop_base&) noexcept;

  explicit loop_base(report_function on_report = nullptr,
                     deliver_function on_delivery = nullptr) noexcept
      : report_(on_report), deliver_(on_delivery) {}
  ~loop_base() = default;

  /// Resumes a coroutine and whatever it hands on to.
  void resume_now(std::coroutine_handle<> coroutine) noexcept {
    const running_code before = running_;
    do {
      running_ = running_code(coroutine);
      coroutine.resume();
      coroutine = std::exchange(bounced_, nullptr);
    } while (coroutine);
    running_ = before;
  }

  /// Between the turns of a loop that somebody else drives: what `rouse` is to call, once. Null
  /// takes that back.
  void rouse_with(rouse_function f) noexcept { on_rouse_ = f; }

  /// Measures the stack from here: called by whoever is about to drive the loop.
  void measure_stack() noexcept {
    const std::uintptr_t here = stack_pointer();
    deepest_ = here > stack_budget ? here - stack_budget : 0;
  }

 private:
  friend scope;
  friend roll_call;

  bool find_orphan(scope& line, listener& told) noexcept;

  static constexpr std::uintptr_t stack_budget = std::uintptr_t{64} << 10;

  ready_node* head_ = nullptr;
  ready_node* tail_ = nullptr;  // the last one, while there is a first one
  rouse_function on_rouse_ = nullptr;
  std::coroutine_handle<> bounced_;
  running_code running_;
  intrusive_list<orphan> orphans_;
  scope** canceling_ = nullptr;  // where the list of scope::cancel ends, while one is at work
  std::uintptr_t deepest_ = 0;
  unsigned share_ = 0;  // how many run_ready may still tell
  unsigned ready_at_once_ = 0;
  waits_outside outside_;
  roll_call* roll_call_ = nullptr;
  report_function report_;    // null: errors that nobody awaits are forgotten
  deliver_function deliver_;  // null: a loop of one thread
};

}  // namespace rondo::detail
