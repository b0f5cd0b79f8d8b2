// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// broadcast<T>: every subscriber gets every value.
//
//     rondo::broadcast<price> prices(64);          // remembers the last 64
//
//     prices.send(p);                              // never waits
//
//     auto mine = prices.subscribe();              // from here on
//     while (auto p = co_await mine.next()) show(*p);
//
// The sender waits for nobody, so a subscriber may fall behind by more than is remembered: its next
// `next` throws `lagged`, once, and it goes on with the oldest value that is still there.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <rondo/core/done.hpp>
#include <rondo/core/wait_list.hpp>
#include <rondo/sync/basic_channel.hpp>

namespace rondo {

/// Thrown by a subscription that has fallen behind. What it has missed is gone; it may go on.
class RONDO_VISIBLE lagged : public std::runtime_error {
 public:
  explicit lagged(std::uint64_t missed)
      : std::runtime_error("rondo: a subscriber has missed " + std::to_string(missed) +
                           (missed == 1 ? " value" : " values")),
        missed_(missed) {}
  /// How many values.
  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }

 private:
  std::uint64_t missed_;
};

namespace detail {
template <typename T>
class broadcast_next;
}

/// T is copied for each subscriber.
/// Thread: the loop's. Keep it alive as long as its subscriptions.
template <typename T>
class broadcast {
 public:
  /// A stream of what is sent. Dropping it is unsubscribing. One `next` at a time.
  class subscription {
   public:
    class [[nodiscard("next does nothing until it is awaited")]] next_description
        : public detail::only_in_rondo {
     public:
      using state_type = detail::broadcast_next<T>;

     private:
      friend subscription;
      friend state_type;
      explicit next_description(subscription & of) noexcept : subscription_(&of) {}
      subscription* subscription_;
    };

    /// Waits for the next value. Gives: an optional, empty when the broadcast was closed and
    /// everything was given.
    /// Throws: lagged, and what copying a value throws. Canceled: nothing is lost.
    [[nodiscard]] next_description next() & noexcept { return next_description(*this); }
    /// No more values: `next` gives an empty optional, also one that waits.
    detail::done close() & noexcept {
      closed_ = true;
      to_->waiting_.wake_first_that([this](detail::place_in_list& place) {
        return static_cast<detail::broadcast_next<T>&>(place).is_of(*this);
      });
      return {};
    }

   private:
    friend broadcast;
    friend detail::broadcast_next<T>;
    explicit subscription(broadcast& to) noexcept : to_(&to), position_(to.sent_) {}

    [[nodiscard]] std::uint64_t missed() const noexcept {
      if (closed_) return 0;
      const std::uint64_t oldest = to_->sent_ - to_->kept_;
      return position_ < oldest ? oldest - position_ : 0;
    }
    [[nodiscard]] bool has_something() const noexcept {
      return closed_ || position_ != to_->sent_ || to_->closed_;
    }
    std::optional<T> take() {
      if (const std::uint64_t n = missed()) {
        position_ += n;
        throw lagged(n);
      }
      if (closed_ || position_ == to_->sent_) return std::nullopt;
      std::optional<T> value(to_->slot(position_));
      ++position_;
      return value;
    }

    broadcast* to_;
    std::uint64_t position_;  // of the next value that it gets
    bool closed_ = false;
  };

  /// capacity: how many values are remembered; memory for them is allocated here. Throws:
  /// std::invalid_argument for 0.
  explicit broadcast(std::size_t capacity) : slots_(capacity) {
    if (capacity == 0) throw std::invalid_argument("rondo: a broadcast remembers at least a value");
  }
  broadcast(const broadcast&) = delete;
  broadcast& operator=(const broadcast&) = delete;

  /// To everybody who has subscribed. Does not wait. Throws: channel_closed.
  void send(T value) {
    if (closed_) throw channel_closed();
    std::optional<T>& place = slot(sent_);
    if (kept_ == slots_.size()) --kept_;
    place.reset();
    place.emplace(std::move(value));
    ++kept_;
    ++sent_;
    waiting_.wake_all();
  }

  /// Gets what is sent from now on.
  [[nodiscard]] subscription subscribe() noexcept { return subscription(*this); }

  /// Nothing more is sent: streams end when they have given what is there.
  void close() noexcept {
    closed_ = true;
    waiting_.wake_all();
  }
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size(); }

 private:
  friend detail::broadcast_next<T>;

  std::optional<T>& slot(std::uint64_t position) noexcept {
    return slots_[static_cast<std::size_t>(position % slots_.size())];
  }

  std::vector<std::optional<T>> slots_;
  std::uint64_t sent_ = 0;
  std::size_t kept_ = 0;  // the last so many are in the slots
  detail::wait_list waiting_;
  bool closed_ = false;
};

// Implementation

namespace detail {

template <typename T>
class broadcast_next : public place_in_list {
  using subscription = typename broadcast<T>::subscription;

 public:
  explicit broadcast_next(typename subscription::next_description&& d) noexcept
      : subscription_(*d.subscription_) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    if (subscription_.has_something()) return pass(line, told);
    return wait_in(subscription_.to_->waiting_, line, told, kind);
  }
  [[nodiscard]] outcome how() const noexcept {
    const outcome waited = place_in_list::how();
    return waited == outcome::value && subscription_.missed() != 0 ? outcome::error : waited;
  }
  std::optional<T> take() {
    place_in_list::take();
    return subscription_.take();
  }
  [[nodiscard]] bool is_of(const subscription& s) const noexcept { return &subscription_ == &s; }

 private:
  static constexpr leaf_kind kind{"broadcast", &place_in_list::end_canceled};

  subscription& subscription_;
};

}  // namespace detail
}  // namespace rondo
