// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// mailbox<T>: a channel into a loop, from the tasks of other loops and from plain threads.
//
//     rondo::mailbox<reading> readings(loop, 1000);    // room for 1000
//
//     while (auto r = co_await readings.next()) ...    // in a task of that loop
//
//     co_await readings.send(r);                       // in a task of any loop: waits for room
//     readings.push(r);                                // in a thread without one: blocks
//     if (!readings.try_send(r)) ++dropped;            // anywhere: does not wait
//
// What the threads share is in threads/mailbox_core.hpp.

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include <rondo/core/awaitable.hpp>
#include <rondo/core/wait_list.hpp>
#include <rondo/loop/event_loop.hpp>
#include <rondo/sync/basic_channel.hpp>
#include <rondo/threads/mailbox_core.hpp>

namespace rondo {

namespace detail {
template <typename T>
class mailbox_send_state;
template <typename T>
class mailbox_receive_state;
}  // namespace detail

/// Keep it alive while somebody waits; and its loop, until it was closed.
/// Values of one sender arrive in the order in which they were sent.
/// A T whose move throws ends the program: there is nobody whose error that would be.
template <typename T>
class mailbox {
  using core = detail::mailbox_core<T>;

 public:
  class [[nodiscard("nothing is sent until this is awaited")]] send_description
      : public detail::only_in_rondo {
   public:
    using state_type = detail::mailbox_send_state<T>;

   private:
    friend mailbox;
    friend state_type;
    send_description(core& to, T&& value) : core_(&to), value_(std::move(value)) {}
    core* core_;
    T value_;
  };

  class [[nodiscard("nothing is received until this is awaited")]] receive_description
      : public detail::only_in_rondo {
   public:
    using state_type = detail::mailbox_receive_state<T>;

   private:
    friend mailbox;
    friend state_type;
    explicit receive_description(core& from) noexcept : core_(&from) {}
    core* core_;
  };

  /// Memory for the capacity is allocated here; later only when a receiver that lost a race gives a
  /// value back for which there is no room any more.
  /// Throws: std::invalid_argument for a capacity of 0.
  mailbox(event_loop& loop, std::size_t capacity)
      : core_(std::make_shared<core>(loop, capacity)) {}
  mailbox(const mailbox&) = delete;
  mailbox& operator=(const mailbox&) = delete;

  /// Waits until there is room.
  /// Throws: channel_closed. Canceled: it was not sent, and the value is gone.
  /// Thread: that of any loop.
  [[nodiscard]] send_description send(T value) & {
    return send_description(*core_, std::move(value));
  }
  /// Blocks until there is room.
  /// Throws: channel_closed; std::logic_error on a thread that runs a loop, which it would block.
  /// Thread: any without a loop.
  void push(T value) { core_->push(value); }
  /// Without waiting. False, and the value is left alone: there is no room, or it is closed.
  /// Thread: any.
  bool try_send(T&& value) { return core_->try_put(value); }
  bool try_send(const T& value)
    requires std::copy_constructible<T>
  {
    return try_send(T(value));
  }

  /// Waits for a value. Gives: an optional, empty when the mailbox is closed and has been emptied.
  /// Throws: std::logic_error on another loop than the mailbox's. Canceled: none was taken.
  /// Thread: the loop's.
  [[nodiscard]] receive_description receive() & noexcept { return receive_description(*core_); }
  /// receive, by the name that every stream has.
  [[nodiscard]] receive_description next() & noexcept { return receive(); }

  /// Nothing more is sent: who waits to send gets channel_closed. What was accepted is received
  /// first, and then the end.
  /// Thread: any.
  void close() noexcept { core_->close(); }

  // Thread: any. What they tell may have changed by then.
  [[nodiscard]] bool closed() const noexcept { return core_->closed(); }
  [[nodiscard]] std::size_t size() const noexcept { return core_->size(); }
  [[nodiscard]] std::size_t capacity() const noexcept { return core_->capacity(); }

 private:
  std::shared_ptr<core> core_;
};

// Implementation

namespace detail {

template <typename T>
class mailbox_send_state : leaf, listener, ready_node, room_waiter {
 public:
  explicit mailbox_send_state(typename mailbox<T>::send_description&& d)
      : leaf{&kind},
        listener{&mailbox_send_state::arrived},
        room_waiter(&mailbox_send_state::send_for),
        core_(*d.core_),
        value_(std::move(d.value_)) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    line_ = &line;
    told_ = told;
    ready_node::waiter = told;
    if (line.canceled()) [[unlikely]] {
      how_ = outcome::canceled;
      line.refuse(*this);
      return true;
    }
    ready_node::waiter = continuation(static_cast<listener&>(*this));
    switch (core_.put_or_wait(value_, *this)) {
      case mailbox_core<T>::put_result::closed: how_ = outcome::error; return pass();
      case mailbox_core<T>::put_result::done: return pass();
      case mailbox_core<T>::put_result::waits: break;
    }
    // It may have been told already, but arrives later, on this thread.
    ++line.loop().outside().possible;
    line.enter(*this);
    return true;
  }
  [[nodiscard]] outcome how() const noexcept { return how_; }
  void take() const {
    if (how_ == outcome::canceled) throw operation_canceled();
    if (how_ == outcome::error) throw channel_closed();
  }

 private:
  [[nodiscard]] bool pass() noexcept {
    ready_node::waiter = told_;
    return line_->loop().ready_at_once(*this);
  }
  /// On any thread, under the lock.
  static void send_for(room_waiter& self) noexcept {
    auto& s = static_cast<mailbox_send_state&>(self);
    s.line_->loop().push_from_anywhere(s);
  }
  static void arrived(listener& self) noexcept {
    auto& s = static_cast<mailbox_send_state&>(self);
    if (s.how_ == outcome::canceled) {
      s.core_.give_up_room(s);
    } else if (!s.core_.fill_room(s, s.value_)) {
      s.how_ = outcome::error;
    }
    s.leave();
    s.line_->loop().complete(s);
  }
  static void cancel_it(leaf& self) noexcept {
    auto& s = static_cast<mailbox_send_state&>(self);
    s.how_ = outcome::canceled;
    if (!s.core_.stop_waiting(s)) return;  // it is on its way here
    s.leave();
    s.line_->loop().push(s);
  }
  static constexpr leaf_kind kind{"mailbox::send", &cancel_it};
  void leave() noexcept {
    --line_->loop().outside().possible;
    line_->leave();
    ready_node::waiter = told_;
  }

  mailbox_core<T>& core_;
  scope* line_ = nullptr;
  continuation told_;
  T value_;
  outcome how_ = outcome::value;
};

template <typename T>
class mailbox_receive_state : public place_in_list {
 public:
  explicit mailbox_receive_state(typename mailbox<T>::receive_description&& d) noexcept
      : core_(*d.core_) {}
  ~mailbox_receive_state() {
    if (value_) [[unlikely]] core_.give_back(*value_);
  }

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    elsewhere_ = &line.loop() != &core_.loop();
    if (elsewhere_) return false;
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    if (core_.fetch_or_listen(value_)) return pass(line, told);
    ++core_.loop().outside().possible;
    return wait_in(core_.receivers(), line, told, kind);
  }
  [[nodiscard]] outcome how() const noexcept {
    return elsewhere_ ? outcome::error : place_in_list::how();
  }
  std::optional<T> take() {
    if (elsewhere_) {
      throw std::logic_error("rondo: a mailbox is emptied by tasks of the loop that it is for");
    }
    place_in_list::take();
    return std::exchange(value_, std::nullopt);
  }

 private:
  friend mailbox_core<T>;
  void grant(std::optional<T>&& value) noexcept {
    value_ = std::move(value);
    --core_.loop().outside().possible;
    core_.receivers().wake_first();
  }
  static void cancel_it(leaf& self) noexcept {
    --static_cast<mailbox_receive_state&>(self).core_.loop().outside().possible;
    end_canceled(self);
  }
  static constexpr leaf_kind kind{"mailbox::receive", &cancel_it};

  mailbox_core<T>& core_;
  std::optional<T> value_;
  bool elsewhere_ = false;
};

}  // namespace detail
}  // namespace rondo
