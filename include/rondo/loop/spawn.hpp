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
// The loop owns what was spawned: it cancels and awaits it before `run` returns. Prefer a
// combinator where the work has an end that somebody waits for; spawn is for work that goes on
// beside it.
//
// What is shared by the loop, the handle and those who wait is in core/spawned.hpp.

#include <stdexcept>
#include <string_view>
#include <utility>

#include <rondo/core/spawned.hpp>

namespace rondo {

class event_loop;

namespace detail {
template <typename T>
class join_state;
template <typename T>
class wait_state;

}  // namespace detail

/// Looks after a spawned task. `co_await h` gives its value or rethrows its error, once. Dropping
/// the handle lets the task go on; its error then goes to `loop_options::on_unhandled`.
///
/// Canceled: waiting ends, the task goes on, and the handle may be awaited again. (asyncio cancels
/// the task; here that is `h.cancel()`.)
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
class wait_state : spawned_wait {
 public:
  explicit wait_state(typename join_handle<T>::waiting_description&& w) noexcept
      : spawned_wait(*w.spawned_) {}

  using spawned_wait::how;
  using spawned_wait::start;
  using spawned_wait::take;
};

template <typename T>
class join_state : spawned_wait {
 public:
  explicit join_state(join_handle<T>& handle) : join_state(handle.get()) {}
  explicit join_state(join_handle<T>&& handle) : join_state(handle.get()) {}

  using spawned_wait::start;
  [[nodiscard]] outcome how() const noexcept {
    if (spawned_wait::how() == outcome::canceled) return outcome::canceled;
    // The task's own cancellation is an ordinary error for whoever waits for it.
    return spawned_.how() == outcome::value ? outcome::value : outcome::error;
  }
  T take() {
    spawned_wait::take();
    if (!spawned_.take_once()) {
      throw std::logic_error("rondo: a join_handle gives its result once; it was awaited before");
    }
    return spawned_.take();
  }

 private:
  explicit join_state(spawned<T>& s) noexcept : spawned_wait(s), spawned_(s) {}
  spawned<T>& spawned_;
};

}  // namespace detail
}  // namespace rondo
