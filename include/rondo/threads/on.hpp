// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// on: runs a task on another loop, in that loop's thread, and comes back with what it gave.
//
//     rows found = co_await on(database_loop, query("select 1"));   // runs there, goes on here
//
// The two threads share nothing but two messages, which travel through the loops' inboxes and live
// in the state of whoever waits:
//
//     here                                   there
//     the call         ------------------->  becomes a task of that loop
//     a cancellation   ------------------->  cancels it, if it has not ended
//     the wait ends    <-------------------  both messages, once the task has ended
//
// A cancellation may be on its way when the task ends by itself, so the wait goes on until each
// message that went has come back.

#include <exception>
#include <optional>
#include <utility>

#include <rondo/compose/combinator.hpp>
#include <rondo/core/awaitable.hpp>
#include <rondo/core/task.hpp>
#include <rondo/loop/event_loop.hpp>

namespace rondo {

namespace detail {
template <typename T>
class remote_task;

template <typename T>
class [[nodiscard("on does nothing until it is awaited")]] on_description : public only_in_rondo {
 public:
  using state_type = remote_task<T>;
  on_description(event_loop& there, task<T>&& t) noexcept : there_(&there), task_(std::move(t)) {}

 private:
  friend state_type;
  event_loop* there_;
  task<T> task_;
};
}  // namespace detail

/// Runs a task on another loop. It belongs to that loop like one that was spawned there: it starts
/// when the loop runs, sees none of this task's context variables, and is canceled when that loop's
/// root ends.
///
/// Gives: its value. Throws: its error; operation_canceled when the other loop canceled it, or was
/// destroyed before it could start.
/// Keep alive: the other loop; and what the task refers to, which another thread uses meanwhile.
/// Canceled: the task is canceled there, and waited for; its success counts.
template <typename T>
auto on(event_loop& there, task<T> t) {
  return detail::on_description<T>(there, std::move(t));
}

// Implementation

namespace detail {

class remote_call : leaf {
 public:
  remote_call(const remote_call&) = delete;
  remote_call& operator=(const remote_call&) = delete;

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    line_ = &line;
    told_ = told;
    if (line.canceled()) [[unlikely]] {
      how_ = outcome::canceled;
      call_.waiter = told;
      line.refuse(call_);
      return true;
    }
    line.enter(*this);
    ++line.loop().outside().certain;
    send(call_);
    return true;
  }
  [[nodiscard]] outcome how() const noexcept {
    const bool mine = how_ != outcome::canceled || line_->canceled();
    return mine ? how_ : outcome::error;  // canceled by others: an ordinary error
  }

 protected:
  /// An argument of the task there: goes with it, started or not, and that is the answer.
  class visit {
   public:
    explicit visit(remote_call& call) noexcept : call_(&call) {}
    visit(visit&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
    visit& operator=(visit&&) = delete;
    ~visit() {
      if (call_ != nullptr && call_->runs_) call_->go_back();
    }

   private:
    remote_call* call_;
  };

  explicit remote_call(event_loop& there) noexcept
      : leaf{&kind}, there_(&there) {}
  ~remote_call() = default;

  /// There: the task that does the work, and says how it ended.
  virtual task<> work(visit here) = 0;

  void ended(outcome how, std::exception_ptr error = nullptr) noexcept {
    how_ = how;
    error_ = std::move(error);
  }
  void check() {
    if (how_ == outcome::canceled) throw operation_canceled();
    if (how_ == outcome::error) std::rethrow_exception(error_);
  }

 private:
  /// Told on the other loop first, then on this one.
  struct message : listener, ready_node {
    message(remote_call& c, void (*arrived)(listener&) noexcept) noexcept
        : listener{arrived}, call(c) {
      waiter = continuation(static_cast<listener&>(*this));
    }
    remote_call& call;
  };

  void send(message& m) noexcept {
    ++away_;
    there_->push_from_anywhere(m);
  }
  /// There. It may be gone at once.
  void send_back(message& m) noexcept {
    m.notify = &remote_call::came_back;
    line_->loop().push_from_anywhere(m);
  }

  static void arrived(listener& self) noexcept {
    remote_call& call = static_cast<message&>(self).call;
    if (call.there_->is_dropped()) [[unlikely]] return call.go_back();
    try {
      call.running_ = call.there_->spawn(call.work(visit(call)));
      call.runs_ = true;
    } catch (...) {
      call.ended(outcome::error, std::current_exception());
      call.go_back();
    }
  }
  static void cancellation_arrived(listener& self) noexcept {
    auto& m = static_cast<message&>(self);
    m.call.running_.cancel();
    m.call.send_back(m);
  }
  void go_back() noexcept {
    running_ = {};
    send_back(call_);
  }

  static void came_back(listener& self) noexcept {
    remote_call& call = static_cast<message&>(self).call;
    if (--call.away_ != 0) return;
    loop_base& loop = call.line_->loop();
    --loop.outside().certain;
    call.line_->leave();
    call.call_.waiter = call.told_;
    loop.complete(call.call_);
  }
  static void cancel_it(leaf& self) noexcept {
    auto& call = static_cast<remote_call&>(self);
    call.send(call.cancellation_);
  }
  static constexpr leaf_kind kind{"on another loop", &cancel_it};

  event_loop* there_;
  scope* line_ = nullptr;
  continuation told_;
  message call_{*this, &remote_call::arrived};
  message cancellation_{*this, &remote_call::cancellation_arrived};
  unsigned away_ = 0;  // messages that have not come back
  // Used there from `arrived` to `go_back`, and here afterwards.
  join_handle<> running_;
  bool runs_ = false;
  outcome how_ = outcome::canceled;
  std::exception_ptr error_;
};

template <typename T>
class remote_task final : public remote_call {
 public:
  explicit remote_task(on_description<T>&& d) noexcept
      : remote_call(*d.there_), task_(std::move(d.task_)) {}

  T take() {
    check();
    if constexpr (std::is_reference_v<T>) {
      return value_->get();
    } else if constexpr (!std::is_void_v<T>) {
      return std::move(*value_);
    }
  }

 private:
  task<> work(visit here) override {
    const visit until_it_ends = std::move(here);
    try {
      if constexpr (std::is_void_v<T>) {
        co_await std::move(task_);
        value_.emplace();
      } else {
        value_.emplace(co_await std::move(task_));
      }
      ended(outcome::value);
    } catch (const operation_canceled&) {
      ended(outcome::canceled);
    } catch (...) {
      ended(outcome::error, std::current_exception());
    }
  }

  task<T> task_;
  std::optional<slot<T>> value_;
};

}  // namespace detail
}  // namespace rondo
