// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What channel and priority_channel share: a store of values, and two lists, of which at most one
// has somebody in it.
//
//   senders wait    while the store is full; each holds its value in its own state
//   receivers wait  while the store is empty, and nobody waits to send
//
// A value goes from hand to hand where it can: from a sender straight to the first receiver who
// waits, and from the first sender who waits into the room that a receiver has made. So nobody who
// comes later is faster, and whoever is woken has what it waited for: a receiver holds its value,
// and a value that nobody takes, in a combinator that ended otherwise, goes back to the front.

#include <cstddef>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include <rondo/core/error.hpp>
#include <rondo/core/wait_list.hpp>

namespace rondo {

/// As a capacity: as many as there is memory for, which is allocated as they come. Nobody who sends is
/// slowed down then, however far behind those are who receive.
inline constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();

/// Thrown by `send` into a channel that was closed. `code()` is `errc::closed`.
class RONDO_VISIBLE channel_closed : public std::system_error {
 public:
  channel_closed() : std::system_error(make_error_code(errc::closed), "rondo: send to a channel") {}
};

namespace detail {

template <typename Channel>
class send_state;
template <typename Channel>
class receive_state;

/// Store: size(), push(T&&), T pop(), put_back(T&&).
///
/// Thread: the loop's. Keep it alive while somebody waits.
/// A T whose move throws ends the program: there is nobody whose error that would be.
template <typename T, typename Store>
class basic_channel {
 public:
  using value_type = T;

  class [[nodiscard("nothing is sent until this is awaited")]] send_description
      : public only_in_rondo {
   public:
    using state_type = send_state<basic_channel>;

   private:
    friend basic_channel;
    friend state_type;
    send_description(basic_channel & to, T && value) : channel_(&to), value_(std::move(value)) {}
    basic_channel* channel_;
    T value_;
  };

  class [[nodiscard("nothing is received until this is awaited")]] receive_description
      : public only_in_rondo {
   public:
    using state_type = receive_state<basic_channel>;

   private:
    friend basic_channel;
    friend state_type;
    explicit receive_description(basic_channel & from) noexcept : channel_(&from) {}
    basic_channel* channel_;
  };

  basic_channel(const basic_channel&) = delete;
  basic_channel& operator=(const basic_channel&) = delete;

  /// Waits until there is room, or for a receiver if the capacity is 0.
  /// Throws: channel_closed; std::bad_alloc, if it is unbounded. Canceled: it was not sent, and the
  /// value is gone.
  [[nodiscard]] send_description send(T value) & {
    return send_description(*this, std::move(value));
  }

  /// Waits for a value. Gives: an optional, empty when the channel is closed and has been emptied.
  /// Canceled: none was taken.
  [[nodiscard]] receive_description receive() & noexcept { return receive_description(*this); }
  /// receive, by the name that every stream has.
  [[nodiscard]] receive_description next() & noexcept { return receive(); }

  /// Without waiting. False, and the value is left alone: there is no room, or the channel is
  /// closed. Throws: std::bad_alloc, if it is unbounded, and leaves it alone.
  bool try_send(T&& value) { return !closed_ && accept(value); }
  bool try_send(const T& value) requires std::copy_constructible<T> { return try_send(T(value)); }
  /// Without waiting: empty if there is nothing.
  [[nodiscard]] std::optional<T> try_receive() {
    std::optional<T> value;
    fetch(value);
    return value;
  }

  /// Nothing more is sent: who waits to send gets channel_closed. What was accepted is received
  /// first, and then the end. A value that somebody has and does not take, because another child of
  /// their combinator failed, may come back after others were told of the end: receive gives it.
  void close() noexcept {
    closed_ = true;
    while (!senders_.empty()) {
      static_cast<sender&>(senders_.first()).failure_ = sender::failure::closed;
      senders_.wake_first();
    }
    receivers_.wake_all();
  }

  [[nodiscard]] bool closed() const noexcept { return closed_; }
  /// How many values are in it.
  [[nodiscard]] std::size_t size() const noexcept { return store_.size(); }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 protected:
  template <typename... Args>
  explicit basic_channel(std::size_t capacity, Args&&... args)
      : capacity_(capacity), store_(capacity == unbounded ? 0 : capacity, std::forward<Args>(args)...) {}
  ~basic_channel() = default;

 private:
  using sender = send_state<basic_channel>;
  using receiver = receive_state<basic_channel>;
  friend sender;
  friend receiver;

  /// Takes the value, to give it to whoever waits or to keep it. False: there is no room.
  bool accept(T& value) {
    if (!receivers_.empty()) {
      hand_over(value);
      return true;
    }
    if (store_.size() >= capacity_) return false;
    store_.push(std::move(value));
    return true;
  }
  bool fetch(std::optional<T>& value) {
    if (store_.size() != 0) {
      value.emplace(store_.pop());
      if (!senders_.empty() && store_.size() < capacity_) refill();
      return true;
    }
    if (senders_.empty()) return false;
    fetch_from_sender(value);
    return true;
  }
  /// A receiver has it, and did not take it.
  [[gnu::cold, gnu::noinline]] void give_back(T& value) noexcept {
    if (!receivers_.empty()) {
      hand_over(value);
    } else {
      store_.put_back(std::move(value));
    }
  }

  [[gnu::noinline]] void hand_over(T& value) {
    static_cast<receiver&>(receivers_.first()).value_.emplace(std::move(value));
    receivers_.wake_first();
  }
  [[gnu::noinline]] void refill() {
    store_.push(std::move(static_cast<sender&>(senders_.first()).value_));
    senders_.wake_first();
  }
  [[gnu::noinline]] void fetch_from_sender(std::optional<T>& value) {
    value.emplace(std::move(static_cast<sender&>(senders_.first()).value_));
    senders_.wake_first();
  }

  std::size_t capacity_;
  Store store_;
  wait_list senders_;
  wait_list receivers_;
  bool closed_ = false;
};

template <typename Channel>
class send_state : public place_in_list {
 public:
  explicit send_state(typename Channel::send_description&& d)
      : channel_(*d.channel_), value_(std::move(d.value_)) {}

  [[nodiscard, gnu::always_inline]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    if (is_done()) return pass(line, told);
    return wait_in(channel_.senders_, line, told, kind);
  }
  [[nodiscard]] outcome how() const noexcept {
    return failure_ != failure::none ? outcome::error : place_in_list::how();
  }
  void take() const {
    if (failure_ != failure::none) [[unlikely]] fail();
    place_in_list::take();
  }

 private:
  friend Channel;
  enum class failure : unsigned char { none, closed, no_memory };

  [[nodiscard, gnu::always_inline]] bool is_done() noexcept {
    if (channel_.closed()) {
      failure_ = failure::closed;
      return true;
    }
    try {
      return channel_.accept(value_);
    } catch (const std::bad_alloc&) {
      failure_ = failure::no_memory;
      return true;
    }
  }
  [[noreturn, gnu::cold, gnu::noinline]] void fail() const {
    if (failure_ == failure::no_memory) throw std::bad_alloc();
    throw channel_closed();
  }

  static constexpr leaf_kind kind{"channel::send", &place_in_list::end_canceled};

  Channel& channel_;
  typename Channel::value_type value_;
  failure failure_ = failure::none;
};

template <typename Channel>
class receive_state : public place_in_list {
  using value_type = typename Channel::value_type;

 public:
  explicit receive_state(typename Channel::receive_description&& d) noexcept
      : channel_(*d.channel_) {}
  ~receive_state() {
    if (value_) [[unlikely]] channel_.give_back(*value_);
  }

  [[nodiscard, gnu::always_inline]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    if (channel_.fetch(value_) || channel_.closed()) return pass(line, told);
    return wait_in(channel_.receivers_, line, told, kind);
  }
  std::optional<value_type> take() {
    place_in_list::take();
    std::optional<value_type> taken(std::move(value_));
    value_.reset();
    return taken;
  }

 private:
  friend Channel;
  static constexpr leaf_kind kind{"channel::receive", &place_in_list::end_canceled};

  Channel& channel_;
  std::optional<value_type> value_;
};

}  // namespace detail
}  // namespace rondo
