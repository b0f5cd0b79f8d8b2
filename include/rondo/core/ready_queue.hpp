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
// Who resumes. A coroutine that waits is resumed by `run_ready`. One that awaits another starts it,
// in one of three ways, depending on how deep the stack is:
//
//   shallow   by a call, which returns when the other has ended or sleeps: what processors predict
//             best, for as many calls as they remember where to return to
//   deep      by handing over: the other takes its place on the stack, and hands back when it ends.
//             Not every build makes a jump of that, so the stack may grow all the same
//   too deep  through the *bounce slot*: everybody returns to `run_ready`, which goes on with what it
//             finds there
//
// A coroutine that ends while its awaiter sleeps hands over to it in the same way. So a million
// awaits in a row, or a million tasks one inside the other, need no more stack than one, in every
// build mode of every compiler.
//
// One slot is enough: whoever fills it returns at once, through frames that only suspend, to the
// nearest `run_ready` or `settle`. A combinator, which starts several children in a row, calls
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
  ready_node() noexcept : next(nullptr) {}
  /// Holds nothing yet; `waiter` is assigned to before it is used.
  explicit ready_node(continuation::later later) noexcept : waiter(later) {}

  ready_node* next;
  continuation waiter;
};

class loop_base;
class roll_call;  // core/roll_call.hpp
class scope;
class work_watch;  // loop/work_watch.hpp

/// Something that has children and was dropped while they run; see compose/as_completed.hpp.
struct orphan {
  scope* left_by = nullptr;  // whose end waits for it
  listener* told = nullptr;  // notified then
  orphan* next = nullptr;    // of those that it has left
};
struct context_node;  // core/context.hpp

/// What has ended, and is to let go of what it holds when no coroutine of its is on the stack any
/// more. In a list, so that whoever destroys it before can take it out.
struct leaver : listener, list_hook {
  explicit leaver(void (*on_end)(listener&) noexcept) noexcept : listener{on_end} {}
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
    (head_ != nullptr ? tail_->next : head_) = &node;
    tail_ = &node;
  }

  /// The same for several, which are linked in their order.
  void push_all(ready_node& first, ready_node& last) noexcept {
    last.next = nullptr;
    (head_ != nullptr ? tail_->next : head_) = &first;
    tail_ = &last;
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

  /// For what is ready when it starts: whether its waiter is to wait a turn all the same. One in
  /// 128 does, so that a task which never has to wait cannot keep the others from running.
  ///
  /// Only coroutines wait: a combinator must know at once what has been done, or it would let
  /// somebody else win. It asks for its own waiter, when it has ended at once.
  [[nodiscard]] bool ready_at_once(continuation told) noexcept {
    if (--at_once_left_ != 0) [[likely]] return false;
    at_once_left_ = 1;  // whoever asks next
    if (told.is_listener()) return false;
    at_once_left_ = in_a_row;
    return true;
  }
  /// The same, for a node whose waiter is set: pushes it.
  [[nodiscard]] bool ready_at_once(ready_node& node) noexcept {
    if (!ready_at_once(node.waiter)) [[likely]] return false;
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
        running_ = nullptr;
        told.notify();
      } else {
        resume(told.coroutine());
      }
      while (bounced_) [[unlikely]] resume(std::exchange(bounced_, nullptr));
    }
    running_ = nullptr;
  }

  /// For tests: another order. Coroutines for which `heads()` is true go before the others. What is
  /// told by a call keeps its order and goes first, since it may be what others rely on: a task's
  /// frame goes before whoever waited for it goes on.
  template <typename Coin>
  void shuffle_ready(Coin heads) noexcept {
    for (int round = 0; round < 4; ++round) {
      ready_node* firsts[3] = {};
      ready_node* lasts[3] = {};
      for (ready_node* node = head_; node != nullptr; node = node->next) {
        const int list = node->waiter.is_listener() ? 0 : heads() ? 1 : 2;
        (lasts[list] != nullptr ? lasts[list]->next : firsts[list]) = node;
        lasts[list] = node;
      }
      ready_node** end = &head_;
      for (int list = 0; list < 3; ++list) {
        if (firsts[list] == nullptr) continue;
        *end = firsts[list];
        end = &lasts[list]->next;
        tail_ = lasts[list];
      }
      *end = nullptr;
    }
  }

  /// The first of them. False: it is the last of this turn.
  [[nodiscard]] bool run_next() noexcept {
    run_ready(1);
    return !turn_is_over();
  }
  /// Whether somebody has called end_turn since it was last asked.
  [[nodiscard]] bool turn_is_over() noexcept { return std::exchange(turn_ends_, false); }

  /// Nobody else is told in this turn.
  void end_turn() noexcept {
    share_ = 1;
    turn_ends_ = true;
  }

  /// Leaves a coroutine for the nearest `run_ready` or `settle`; the caller returns to it at once.
  void bounce(std::coroutine_handle<> coroutine) noexcept {
    RONDO_ASSERT(!bounced_, "two coroutines in the bounce slot: a combinator did not settle");
    bounced_ = coroutine;
  }

  /// Resumes what the last start left in the bounce slot.
  void settle() noexcept {
    if (!bounced_) [[likely]] return;
    scope* const before = running_;
    while (bounced_) resume(std::exchange(bounced_, nullptr));
    running_ = before;
  }

  /// Whether whoever starts something may do so by a call.
  [[nodiscard]] bool stack_is_shallow() const noexcept { return stack_pointer() >= shallow_; }
  /// Whether it may not do so without giving back the stack first.
  [[nodiscard]] bool stack_is_deep() const noexcept { return stack_pointer() < deepest_; }

  /// What a coroutine's await_suspend gives to go on with another one: now, or later if the stack
  /// is too deep.
  [[nodiscard]] std::coroutine_handle<> hand_over(std::coroutine_handle<> coroutine) noexcept {
    if (!stack_is_deep()) [[likely]] return coroutine;
    bounce(coroutine);
    return std::noop_coroutine();
  }

  /// The line whose code runs now; null: nobody's.
  [[nodiscard]] scope* running() const noexcept { return running_; }

  /// By what is told to start a line that nobody awaits: its code runs now.
  void starts(scope& line) noexcept { started_ = &line; }

  /// While this exists, what runs belongs to this line: for those who start something that the
  /// coroutine that runs does not await.
  class running_in {
   public:
    running_in(loop_base& loop, scope& line) noexcept
        : loop_(loop), before_(std::exchange(loop.running_, &line)) {}
    running_in(const running_in&) = delete;
    running_in& operator=(const running_in&) = delete;
    ~running_in() { loop_.running_ = before_; }

   private:
    loop_base& loop_;
    scope* before_;
  };

  /// Keeps what was dropped while its children run, for the line that runs now: that line does not
  /// count as ended before it.
  void leave_behind(orphan& o) noexcept;
  [[nodiscard]] bool any_orphans() const noexcept { return orphans_left_ != 0; }
  /// By a line that ends: true if it has left something behind. `told` is notified again when that
  /// has ended.
  [[nodiscard]] bool defer_end(scope& line, listener& told) noexcept {
    return any_orphans() && find_orphan(line, told);
  }
  void orphan_ended(orphan& o) noexcept;

  /// By what may be called between turns (spawn, cancel, waking those who wait in a list), when it
  /// has queued something: tells whoever drives the loop, if that is somebody else and they wait.
  void rouse() noexcept {
    if (on_rouse_ != nullptr) [[unlikely]] std::exchange(on_rouse_, nullptr)(*this);
  }

  /// Notifies it from the ready queue: before anybody who is told of an end from now on goes on.
  void let_go_later(leaver& l) noexcept {
    if (!std::exchange(leave_.queued, true)) push(leave_);
    leaving_.push_back(l);
  }

  [[nodiscard]] waits_outside& outside() noexcept { return outside_; }
  /// In nanoseconds of the steady clock, for those who want to know since when something has been
  /// suspended: when the step began in which it was; 0 if nobody keeps it.
  [[nodiscard]] std::int64_t watched_time() const noexcept { return watched_time_; }
  /// Whether to look for what is forgotten, and tell.
  [[nodiscard]] bool debug() const noexcept { return debug_; }

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

  /// Between the turns of a loop that somebody else drives: what `rouse` is to call, once. Null
  /// takes that back.
  void rouse_with(rouse_function f) noexcept { on_rouse_ = f; }

  void set_debug(bool on) noexcept { debug_ = on; }
  void keep_time(std::int64_t now) noexcept { watched_time_ = now; }

  /// Measures the stack from here: called by whoever is about to drive the loop.
  void measure_stack() noexcept {
    const std::uintptr_t here = stack_pointer();
    shallow_ = here > cheap_to_nest ? here - cheap_to_nest : 0;
    deepest_ = here > stack_budget ? here - stack_budget : 0;
  }

 private:
  friend scope;
  friend roll_call;
  friend work_watch;

  struct leave : listener, ready_node {
    explicit leave(loop_base& its) noexcept : listener{&leave::now}, loop(its) {
      waiter = continuation(static_cast<listener&>(*this));
    }
    static void now(listener& self) noexcept {
      auto& its = static_cast<leave&>(self);
      its.queued = false;
      while (!its.loop.leaving_.empty()) {
        leaver& l = its.loop.leaving_.pop_front();
        l.notify(l);
      }
    }
    loop_base& loop;
    bool queued = false;
  };

  // In core/promise.hpp.
  void resume(std::coroutine_handle<> coroutine) noexcept;
  [[nodiscard]] static scope& line_of(std::coroutine_handle<> coroutine) noexcept;
  bool find_orphan(scope& line, listener& told) noexcept;

  // Bytes. Processors of today predict about the last 30 to 50 returns; a call takes 48 bytes or
  // more in an optimized build.
  static constexpr std::uintptr_t cheap_to_nest = std::uintptr_t{2} << 10;
  static constexpr std::uintptr_t stack_budget = std::uintptr_t{64} << 10;
  static constexpr unsigned in_a_row = 128;  // what is ready at once, until somebody waits a turn

  ready_node* head_ = nullptr;
  ready_node* tail_ = nullptr;  // the last one, while there is a first one
  rouse_function on_rouse_ = nullptr;
  std::coroutine_handle<> bounced_;
  scope* running_ = nullptr;
  std::int64_t watched_time_ = 0;
  std::size_t orphans_left_ = 0;
  intrusive_list<leaver> leaving_;
  leave leave_{*this};
  scope** canceling_ = nullptr;  // where the list of scope::cancel ends, while one is at work
  std::uintptr_t shallow_ = 0;  // 0: not measured, any depth will do
  std::uintptr_t deepest_ = 0;
  unsigned share_ = 0;  // how many run_ready may still tell
  unsigned at_once_left_ = in_a_row;
  bool turn_ends_ = false;
  bool debug_ = false;
  scope* started_ = nullptr;  // last; for those who watch
  waits_outside outside_;
  roll_call* roll_call_ = nullptr;
  report_function report_;    // null: errors that nobody awaits are forgotten
  deliver_function deliver_;  // null: a loop of one thread
};

}  // namespace rondo::detail
