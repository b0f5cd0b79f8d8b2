// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A scope is one line of work that runs beside others: the root, each spawned task, each child of a
// combinator. The tasks that are awaited one inside the other along that line share it; each
// promise carries a pointer to it.
//
// It solves one problem: to cancel a line of work from outside, in constant time, without tokens
// and without the line's help. At any moment a line is suspended on at most one thing, its *leaf*:
// an operation of the kernel, a timer, a place in a waiting list, or a combinator, whose leaf
// function passes the request on to its children's scopes.
//
// The contract of every leaf:
// - it enters the scope when it starts and leaves when it ends, so a scope that computes has none;
// - `cancel` asks it to end soon. It never ends inside that call: it ends once, later, through its
//   ordinary path, and its success beats the request;
// - started in a canceled scope it asks nothing of the kernel: it is refused, and ends as canceled
//   through the ready queue, one turn later, so that code that swallows cancellations cannot hang
//   the loop. Code that swallows a thousand of them is reported.
//
// A cancellation is level-triggered: the flag stays, and every later operation in the scope ends
// the same way. Whether something was canceled is asked of its scope, never of an exception's type
// alone.

#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/core/error.hpp>
#include <rondo/core/ready_queue.hpp>
#include <rondo/core/source_location.hpp>

namespace rondo::detail {

struct context_node;  // core/context.hpp
struct leaf;

class observer;  // core/observer.hpp

/// What kind of thing a line can be suspended on, once for each class of leaves. `show` begins with
/// `auto& state = static_cast<class of the leaf&>(self)`: gdb.py learns the class from it, and that of
/// a stream, which shows nothing, from its `cancel`.
struct leaf_kind {
  const char* name;                           // what people call it: "recv", "sleep", "when_all"
  void (*cancel)(leaf&) noexcept;
  void (*show)(leaf&, observer&) = nullptr;  // its children and particulars, to whoever looks
};

struct leaf {
  const leaf_kind* what;
  void cancel() noexcept { what->cancel(*this); }
};

class scope {
 public:
  /// As if ended; it is opened before it is used.
  scope() noexcept : name_(nullptr), ended_(true) {}
  explicit scope(loop_base& loop) noexcept : name_(nullptr) { open(loop); }
  scope(const scope&) = delete;
  scope& operator=(const scope&) = delete;

  /// Becomes a line that nobody awaits but the loop.
  void open(loop_base& loop) noexcept { open(loop, nullptr, false); }

  /// Becomes a child line of another: it starts canceled if that one is.
  void open(const scope& parent) noexcept {
    open(*parent.loop_, parent.context_, parent.canceled_);
  }
  /// Becomes a child line that does not care whether its parent is canceled.
  void open_shielded(const scope& parent) noexcept {
    open(*parent.loop_, parent.context_, false);
  }

  [[nodiscard]] loop_base& loop() const noexcept { return *loop_; }
  [[nodiscard]] bool canceled() const noexcept { return canceled_; }

  /// The values of context_vars that the line sees; somebody else keeps them.
  [[nodiscard]] context_node* context() const noexcept { return context_; }
  void set_context(context_node* node) noexcept { context_ = node; }

  /// The line has ended: cancellations come too late from here on, so how it ended stays as it is.
  void end() noexcept { ended_ = true; }
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  /// Goes on after its end, with something else.
  void reopen() noexcept { ended_ = false; }

  /// Asks the line to end. A scope that is canceled from inside a leaf's cancel, as children are,
  /// waits in a list for its turn, since a tree of combinators may be deeper than the stack; all
  /// have had it when the outermost call returns.
  void cancel() noexcept {
    if (canceled_ || ended_) return;
    canceled_ = true;
    if (leaf_ == nullptr) return;
    if (loop_->canceling_ != nullptr) {
      *loop_->canceling_ = this;
      loop_->canceling_ = &next_;
      return;
    }
    loop_->canceling_ = &next_;
    for (scope* s = this; s != nullptr; s = std::exchange(s->next_, nullptr)) {
      if (s->leaf_ != nullptr) s->leaf_->cancel();
    }
    loop_->canceling_ = nullptr;
    loop_->rouse();
  }

  void enter(leaf& l) noexcept {
    RONDO_ASSERT(leaf_ == nullptr, "two operations at once in one line of work");
    leaf_ = &l;
    since_ = loop_->watched_time_;
  }
  void leave() noexcept { leaf_ = nullptr; }

  /// Somebody else keeps it. It stays when the line is opened again.
  void set_name(const char* name) noexcept { name_ = name; }
  [[nodiscard]] std::string_view name() const noexcept {
    return name_ != nullptr ? std::string_view(name_) : std::string_view();
  }

  /// What it is suspended on; null while it runs, or is about to.
  [[nodiscard]] leaf* suspended_on() const noexcept { return leaf_; }
  /// The last co_await of an operation in one of its coroutines.
  void suspends_at(source_location place) noexcept { place_ = place; }
  [[nodiscard]] source_location place() const noexcept { return place_; }
  /// Since when; see loop_base::watched_time.
  [[nodiscard]] std::int64_t suspended_since() const noexcept { return since_; }
  void forget_since() noexcept { since_ = 0; }

  /// Ends an operation that was started in a canceled scope: as canceled, one turn later.
  [[gnu::cold, gnu::noinline]] void refuse(ready_node& node) noexcept {
    if (++refused_ == 1000) report_swallowing();
    loop_->push(node);
  }

 private:
  friend loop_base;

  void open(loop_base& loop, context_node* context, bool canceled) noexcept {
    loop_ = &loop;
    context_ = context;
    leaf_ = nullptr;
    next_ = nullptr;
    place_ = {};
    since_ = 0;
    refused_ = 0;
    canceled_ = canceled;
    ended_ = false;
    orphans_ = nullptr;
  }

  [[gnu::cold]] void report_swallowing() noexcept {
    try {
      std::string who = "a canceled task";
      if (!name().empty()) who.append(" (").append(name()).append(")");
      loop_->report({unhandled_error::kind::ignores_cancellation, name(), nullptr,
                     who + " has swallowed a thousand cancellations and goes on; let "
                           "operation_canceled pass"});
    } catch (const std::bad_alloc&) {  // then it is not said
    }
  }

  loop_base* loop_;
  context_node* context_;
  leaf* leaf_;
  scope* next_;  // to be canceled
  const char* name_;
  source_location place_;
  std::int64_t since_;
  orphan* orphans_;  // that it has left behind, and that have not ended
  std::uint32_t refused_;
  bool canceled_;
  bool ended_;
};

// What a line leaves behind.

inline void loop_base::leave_behind(orphan& o) noexcept {
  o.left_by = running_;
  if (running_ != nullptr) o.next = std::exchange(running_->orphans_, &o);
  ++orphans_left_;
}

inline bool loop_base::find_orphan(scope& line, listener& told) noexcept {
  if (line.orphans_ == nullptr) return false;
  line.orphans_->told = &told;
  return true;
}

inline void loop_base::orphan_ended(orphan& o) noexcept {
  --orphans_left_;
  if (o.left_by != nullptr) {
    orphan** its = &o.left_by->orphans_;
    while (*its != &o) its = &(*its)->next;
    *its = o.next;
  }
  if (o.told == nullptr || defer_end(*o.left_by, *o.told)) return;
  o.told->notify(*o.told);
}

}  // namespace rondo::detail
