// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What is behind a mailbox (threads/mailbox.hpp): values behind a lock, which is held for a moment.
//
// Who waits for a value belongs to the mailbox's loop. A sender finds out that somebody does, and
// calls the loop once, however many values follow. Who waits for room is told where it waits, through
// its own loop or as a thread that blocks, and puts its value there itself, into room that is kept
// for it: so a send that has lost a race was not sent, and nobody who comes later is faster.

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include <rondo/core/wait_list.hpp>
#include <rondo/detail/intrusive_list.hpp>
#include <rondo/detail/ring_buffer.hpp>
#include <rondo/loop/event_loop.hpp>
#include <rondo/sync/basic_channel.hpp>

namespace rondo::detail {

template <typename T>
class mailbox_receive_state;

/// Somebody who waits for room: in the list, or told, and with room of its own if it was granted.
struct room_waiter : list_hook {
  explicit room_waiter(void (*f)(room_waiter&) noexcept) noexcept : tell(f) {}
  void (*tell)(room_waiter&) noexcept;
  bool granted = false;
};

/// Told on its loop when somebody waits there and there is something. It may be on its way when the
/// mailbox goes, so it keeps itself alive until it has arrived.
template <typename T>
class mailbox_core : public std::enable_shared_from_this<mailbox_core<T>>, listener, ready_node {
  using receiver = mailbox_receive_state<T>;

 public:
  enum class put_result { done, waits, closed };

  mailbox_core(event_loop& loop, std::size_t capacity)
      : listener{&mailbox_core::called}, loop_(loop), capacity_(capacity), store_(capacity) {
    if (capacity == 0) throw std::invalid_argument("rondo: a mailbox has room for at least one");
    ready_node::waiter = continuation(static_cast<listener&>(*this));
  }

  // Thread: any.

  bool try_put(T& value) {
    const std::lock_guard lock(mutex_);
    return !closed_ && accept(value);
  }
  put_result put_or_wait(T& value, room_waiter& who) {
    const std::lock_guard lock(mutex_);
    if (closed_) return put_result::closed;
    if (accept(value)) return put_result::done;
    waiting_.push_back(who);
    return put_result::waits;
  }
  void push(T& value) {
    if (running_loop != nullptr) {
      throw std::logic_error("rondo: mailbox::push would block a loop; use co_await send(value)");
    }
    std::unique_lock lock(mutex_);
    if (closed_) throw channel_closed();
    if (accept(value)) return;
    blocked self(changed_);
    waiting_.push_back(self);
    changed_.wait(lock, [&] { return !self.linked(); });
    if (!fill(self, value)) throw channel_closed();
  }

  /// By one who was told: uses its room. False: there is none, the mailbox was closed.
  bool fill_room(room_waiter& told, T& value) {
    const std::lock_guard lock(mutex_);
    return fill(told, value);
  }
  /// By one who wants it no more.
  void give_up_room(room_waiter& told) noexcept {
    const std::lock_guard lock(mutex_);
    if (!told.granted) return;
    --reserved_;
    pass_room_on();
  }
  /// False: it was told, or is about to be.
  bool stop_waiting(room_waiter& who) noexcept {
    const std::lock_guard lock(mutex_);
    if (!who.linked()) return false;
    who.unlink();
    return true;
  }

  void close() noexcept {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    while (!waiting_.empty()) tell_first();
    call();
  }
  [[nodiscard]] bool closed() const noexcept {
    const std::lock_guard lock(mutex_);
    return closed_;
  }
  [[nodiscard]] std::size_t size() const noexcept {
    const std::lock_guard lock(mutex_);
    return store_.size();
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] event_loop& loop() const noexcept { return loop_; }

  // Thread: the loop's.

  /// False: there is nothing yet, and it will be called when there is.
  bool fetch_or_listen(std::optional<T>& value) {
    const std::lock_guard lock(mutex_);
    if (receivers_.empty()) {
      fetch(value);
      if (value || closed_) return true;
    }
    listening_ = true;
    return false;
  }
  /// A receiver has it, and did not take it.
  void give_back(T& value) noexcept {
    const std::lock_guard lock(mutex_);
    store_.put_back(std::move(value));
    call();
  }
  [[nodiscard]] wait_list& receivers() noexcept { return receivers_; }

 private:
  /// A thread that blocks.
  struct blocked : room_waiter {
    explicit blocked(std::condition_variable& c) noexcept
        : room_waiter(&blocked::wake), changed(c) {}
    static void wake(room_waiter& self) noexcept {
      static_cast<blocked&>(self).changed.notify_all();
    }
    std::condition_variable& changed;
  };

  // All under the lock.

  [[nodiscard]] bool has_room() const noexcept { return store_.size() + reserved_ < capacity_; }

  bool accept(T& value) {
    if (!waiting_.empty() || !has_room()) return false;
    store_.push(std::move(value));
    call();
    return true;
  }
  bool fill(room_waiter& told, T& value) {
    if (!told.granted) return false;
    --reserved_;
    if (closed_) return false;
    store_.push(std::move(value));
    call();
    return true;
  }
  void fetch(std::optional<T>& value) {
    if (store_.size() == 0) return;
    value.emplace(store_.pop());
    pass_room_on();
  }
  void pass_room_on() noexcept {
    if (waiting_.empty() || !has_room()) return;
    ++reserved_;
    waiting_.front().granted = true;
    tell_first();
  }
  void tell_first() noexcept {
    room_waiter& first = waiting_.pop_front();
    first.tell(first);
  }
  void call() noexcept {
    if (!listening_ || called_) return;
    called_ = this->shared_from_this();
    loop_.push_from_anywhere(*this);
  }

  static void called(listener& self) noexcept {
    static_cast<mailbox_core&>(self).serve();
  }
  /// On the loop. Telling a receiver may cancel others, so each is looked for afresh.
  void serve() noexcept {
    std::shared_ptr<mailbox_core> alive;  // longer than the lock
    std::unique_lock lock(mutex_);
    alive.swap(called_);
    for (;;) {
      listening_ = !receivers_.empty();
      if (!listening_) return;
      std::optional<T> value;
      fetch(value);
      if (!value && !closed_) return;
      lock.unlock();
      static_cast<receiver&>(receivers_.first()).grant(std::move(value));
      lock.lock();
    }
  }

  event_loop& loop_;
  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  ring_buffer<T> store_;
  intrusive_list<room_waiter> waiting_;
  std::size_t reserved_ = 0;   // room of those who were told
  bool closed_ = false;
  bool listening_ = false;     // somebody waits for a value
  std::shared_ptr<mailbox_core> called_;  // while the call is on its way
  wait_list receivers_;        // the loop's, not under the lock
};

}  // namespace rondo::detail
