// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// spawn: hand a task to the loop, and a handle to look after it with.
//
//     auto h = rondo::spawn(heartbeat(peer));   // starts on the next turn
//     ...
//     h.cancel();
//     co_await h.wait();
//
// The loop owns what was spawned: it cancels and awaits it before `run` returns. Prefer a combinator
// where the work has an end that somebody waits for; spawn is for work that goes on beside it.
//
// The state of a spawned task is one block, shared by the loop (until the task has ended), the handle,
// and whoever awaits the handle. It frees itself when the last of them has left, and reports an error
// that none of them has asked for.

#include <cstddef>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <rondo/core/task.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo {

class event_loop;

/// A trivial aggregate: safe inside a co_await expression on every compiler. The name is copied.
struct spawn_options {
  std::string_view name{};
};
static_assert(std::is_trivially_destructible_v<spawn_options>);

namespace detail {

class spawned_base : public engine::owned_line, public listener, public ready_node {
 public:
  [[nodiscard]] bool done() const noexcept { return done_; }
  [[nodiscard]] std::string_view name() const noexcept { return name_; }

  void cancel() noexcept {
    if (!done_) line.cancel();
  }

  void add_ref() noexcept { ++refs_; }
  void release() noexcept {
    if (--refs_ != 0) return;
    if (take_once()) report_failure_(*this);  // nobody has asked for the result
    dispose_(*this);
  }

  /// A place in the list of those who wait for the end.
  struct waiting : list_hook, ready_node {
    scope* line = nullptr;
  };
  void wait(waiting& w) noexcept { waiting_.push_back(w); }

  /// The value or the error was taken: nothing is left to report.
  [[nodiscard]] bool take_once() noexcept { return !std::exchange(taken_, true); }

 protected:
  using function = void (*)(spawned_base&) noexcept;

  spawned_base(std::string_view name, function start, function report_failure, function dispose)
      : listener{&spawned_base::step},
        name_(name),
        start_(start),
        report_failure_(report_failure),
        dispose_(dispose) {
    waiter = continuation(static_cast<listener&>(*this));
  }
  ~spawned_base() = default;

  void ended() noexcept {
    done_ = true;
    unlink();  // from the loop's list
    waiting_.for_each([this](waiting& w) {
      w.unlink();
      w.line->leave();
      line.loop().complete(w);
    });
    if (refs_ == 1) {
      line.loop().push(*this);  // the coroutine is still on the stack, so it is let go a turn later
    } else {
      --refs_;
    }
  }

 private:
  /// Told through the ready queue to start, then about the end, and, if there is no handle by then,
  /// through the queue once more to let go.
  static void step(listener& self) noexcept {
    auto& s = static_cast<spawned_base&>(self);
    if (!s.started_) {
      s.started_ = true;
      s.start_(s);
    } else if (!s.done_) {
      s.ended();
    } else {
      s.release();
    }
  }

  std::string name_;
  function start_;
  function report_failure_;
  function dispose_;
  intrusive_list<waiting> waiting_;
  unsigned refs_ = 2;  // the loop's and the handle's
  bool started_ = false;
  bool done_ = false;
  bool taken_ = false;
};

template <typename T>
class spawned : public spawned_base {
 public:
  spawned(task<T>&& t, std::string_view name, function dispose)
      : spawned_base(name, &spawned::start, &spawned::report_failure, dispose),
        state_(std::move(t)) {}

  [[nodiscard]] outcome how() const noexcept { return state_.how(); }
  T take() {
    if (!take_once()) {
      throw std::logic_error("rondo: a join_handle gives its result once; it was awaited before");
    }
    return state_.take();
  }

  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* block, std::size_t size) noexcept { free_frame(block, size); }

 protected:
  ~spawned() = default;

 private:
  static void start(spawned_base& self) noexcept {
    auto& s = static_cast<spawned&>(self);
    if (!s.state_.start(s.line, static_cast<listener&>(s))) s.ended();
  }
  static void report_failure(spawned_base& self) noexcept {
    auto& s = static_cast<spawned&>(self);
    if (s.state_.how() != outcome::error) return;
    try {
      s.state_.take();
    } catch (...) {
      s.line.loop().report({unhandled_error::kind::spawned, s.name(), std::current_exception(), {}});
    }
  }

  task_state<T> state_;
};

template <typename T>
class spawned_task final : public spawned<T> {
 public:
  spawned_task(task<T>&& t, std::string_view name)
      : spawned<T>(std::move(t), name, &spawned_task::dispose) {}

 private:
  static void dispose(spawned_base& self) noexcept { delete &static_cast<spawned_task&>(self); }
};

/// What the callable and its arguments are kept in: before the task, so they outlive it.
template <typename F, typename... Args>
struct kept_call {
  F f;
  std::tuple<Args...> args;
  auto call() { return std::apply(f, std::move(args)); }
};

template <typename T, typename F, typename... Args>
class spawned_call final : private kept_call<F, Args...>, public spawned<T> {
 public:
  spawned_call(std::string_view name, F&& callable, Args&&... args)
      : kept_call<F, Args...>{std::move(callable), {std::move(args)...}},
        spawned<T>(this->call(), name, &spawned_call::dispose) {}

  using spawned<T>::operator new;
  using spawned<T>::operator delete;

 private:
  static void dispose(spawned_base& self) noexcept {
    delete &static_cast<spawned_call&>(static_cast<spawned<T>&>(self));
  }
};

template <typename T>
class join_state;
template <typename T>
class wait_state;

}  // namespace detail

/// Looks after a spawned task. `co_await h` gives its value or rethrows its error, once. Dropping the
/// handle lets the task go on; its error then goes to `loop_options::on_unhandled`.
///
/// Canceled: waiting ends, the task goes on, and the handle may be awaited again. (asyncio cancels the
/// task; here that is `h.cancel()`.)
/// Thread: the loop's. May outlive the loop.
template <typename T = void>
class join_handle : public detail::only_in_rondo {
 public:
  using state_type = detail::join_state<T>;

  /// What `wait` gives.
  class waiting_description : public detail::only_in_rondo {
   public:
    using state_type = detail::wait_state<T>;

   private:
    friend join_handle;
    friend state_type;
    explicit waiting_description(detail::spawned<T>& s) noexcept : spawned_(&s) {}
    detail::spawned<T>* spawned_;
  };

  join_handle() noexcept = default;
  join_handle(join_handle&& other) noexcept : spawned_(std::exchange(other.spawned_, nullptr)) {}
  join_handle& operator=(join_handle&& other) noexcept {
    join_handle(std::move(other)).swap(*this);
    return *this;
  }
  ~join_handle() {
    if (spawned_ != nullptr) spawned_->release();
  }
  void swap(join_handle& other) noexcept { std::swap(spawned_, other.spawned_); }

  /// Asks the task to end. It ends as soon as what it waits for has been canceled.
  void cancel() noexcept {
    if (spawned_ != nullptr) spawned_->cancel();
  }
  [[nodiscard]] bool done() const noexcept { return spawned_ == nullptr || spawned_->done(); }
  [[nodiscard]] std::string_view name() const noexcept {
    return spawned_ != nullptr ? spawned_->name() : std::string_view();
  }

  /// Waits until the task has ended, however it ended; consumes nothing.
  [[nodiscard]] waiting_description wait() {
    return waiting_description(get());
  }

 private:
  friend event_loop;
  friend state_type;

  explicit join_handle(detail::spawned<T>& s) noexcept : spawned_(&s) {}
  detail::spawned<T>& get() const {
    if (spawned_ == nullptr) throw std::logic_error("rondo: an empty join_handle was awaited");
    return *spawned_;
  }

  detail::spawned<T>* spawned_ = nullptr;
};

// Implementation

namespace detail {

template <typename T>
class wait_state : leaf, spawned_base::waiting {
 public:
  explicit wait_state(typename join_handle<T>::waiting_description&& w) noexcept
      : wait_state(*w.spawned_) {}
  wait_state(const wait_state&) = delete;
  wait_state& operator=(const wait_state&) = delete;
  ~wait_state() { spawned_.release(); }

  [[nodiscard]] bool start(scope& parent, continuation told) noexcept {
    this->line = &parent;
    waiter = told;
    if (parent.canceled()) [[unlikely]] {
      canceled_ = true;
      parent.refuse(*this);
      return true;
    }
    if (spawned_.done()) return parent.loop().ready_at_once(*this);
    parent.enter(*this);
    spawned_.wait(*this);
    return true;
  }
  [[nodiscard]] outcome how() const noexcept {
    return canceled_ ? outcome::canceled : outcome::value;
  }
  void take() {
    if (canceled_) throw operation_canceled();
  }

 protected:
  explicit wait_state(spawned<T>& s) noexcept : leaf{&wait_state::cancel_wait}, spawned_(s) {
    s.add_ref();
  }

  spawned<T>& spawned_;
  bool canceled_ = false;

 private:
  static void cancel_wait(leaf& self) noexcept {
    auto& w = static_cast<wait_state&>(self);
    w.unlink();
    w.canceled_ = true;
    w.line->leave();
    w.line->loop().push(w);
  }
};

template <typename T>
class join_state : public wait_state<T> {
 public:
  explicit join_state(join_handle<T>& handle) : wait_state<T>(handle.get()) {}
  explicit join_state(join_handle<T>&& handle) : wait_state<T>(handle.get()) {}

  [[nodiscard]] outcome how() const noexcept {
    if (this->canceled_) return outcome::canceled;
    // The task's own cancellation is an ordinary error for whoever waits for it.
    return this->spawned_.how() == outcome::value ? outcome::value : outcome::error;
  }
  T take() {
    if (this->canceled_) throw operation_canceled();
    return this->spawned_.take();
  }
};

}  // namespace detail
}  // namespace rondo
