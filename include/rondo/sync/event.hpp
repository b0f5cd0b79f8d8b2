// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// event: something that has happened, or has not yet. asyncio.Event.
//
//     rondo::event ready;
//     co_await ready.wait();               // in any number of tasks
//     ready.set();                         // in another one: all of them go on
//
// It stays set, so who comes later does not wait, until `reset`.

#include <rondo/core/wait_list.hpp>

namespace rondo {

namespace detail {
class event_wait;
}

/// Thread: the loop's. Keep it alive while somebody waits.
class event {
 public:
  class [[nodiscard("wait does nothing until it is awaited")]] wait_description
      : public detail::only_in_rondo {
   public:
    using state_type = detail::event_wait;

   private:
    friend event;
    friend state_type;
    explicit wait_description(event & of) noexcept : event_(&of) {}
    event* event_;
  };

  event() noexcept = default;
  event(const event&) = delete;
  event& operator=(const event&) = delete;

  /// Everybody who waits goes on, also if it is reset before they run.
  void set() noexcept {
    set_ = true;
    waiting_.wake_all();
  }
  /// Who comes from here on waits.
  void reset() noexcept { set_ = false; }
  [[nodiscard]] bool is_set() const noexcept { return set_; }

  /// Waits until it is set; not at all if it is.
  [[nodiscard]] wait_description wait() & noexcept { return wait_description(*this); }

 private:
  friend detail::event_wait;

  bool set_ = false;
  detail::wait_list waiting_;
};

// Implementation

namespace detail {

class event_wait : public place_in_list {
 public:
  explicit event_wait(event::wait_description&& d) noexcept : event_(*d.event_) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (line.canceled()) [[unlikely]] return refuse(line, told);
    return event_.is_set() ? pass(line, told) : wait_in(event_.waiting_, line, told, kind);
  }

 private:
  static constexpr leaf_kind kind{"event", &end_canceled};

  event& event_;
};

}  // namespace detail
}  // namespace rondo
