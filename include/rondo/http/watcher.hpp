// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A watcher waits on the ring until one of libcurl's sockets is ready: one single-shot poll at a
// time, which the driver renews for as long as libcurl is interested.
//
// The kernel holds the watcher's address while the poll is in flight, and it holds the socket open:
// after close(2) the peer would not learn that the connection has ended before the poll does. So
// when libcurl gives up a socket whose poll is in flight, the watcher retires: it has its poll
// canceled, takes over the socket if libcurl wants to close it, and with the poll's completion
// closes it and frees itself. A number that libcurl closes is therefore not given out again before
// the poll has ended.
//
//   watched    libcurl is interested; the driver owns the watcher, in its list of watched ones
//     in the kernel     in the engine's list; ends in driver::polled
//     otherwise         in one of the driver's lists, waiting to be looked at or to be armed
//   retired    only the kernel knows it; in the driver's list of retired ones until the driver goes

#include <cstddef>
#include <cstdint>
#include <poll.h>

#include <curl/curl.h>

#include <rondo/detail/frame_pool.hpp>
#include <rondo/detail/intrusive_list.hpp>
#include <rondo/io/descriptor.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo::http::detail {

/// Its place among the driver's watched or retired ones; the place in in_flight is for the lists
/// that change with each event.
struct watcher_place : rondo::detail::list_hook {};

class watcher final : public rondo::detail::in_flight, public watcher_place {
 public:
  using told = void (*)(void* owner, watcher&, int result) noexcept;

  watcher(int fd, void* owner, told on_poll) noexcept
      : in_flight(kind), fd_(fd), owner_(owner), on_poll_(on_poll) {}

  [[nodiscard]] int fd() const noexcept { return fd_; }
  [[nodiscard]] bool in_kernel() const noexcept { return in_kernel_; }
  [[nodiscard]] bool queued() const noexcept { return !in_kernel_ && in_flight::linked(); }
  [[nodiscard]] bool wants_something() const noexcept { return wanted_ != 0; }

  /// libcurl's interest: CURL_POLL_IN, _OUT or _INOUT.
  void want(int interest, rondo::detail::engine& loop) noexcept {
    wanted_ = static_cast<short>(((interest & CURL_POLL_IN) != 0 ? POLLIN : 0) |
                                 ((interest & CURL_POLL_OUT) != 0 ? POLLOUT : 0));
    if (in_kernel_ && (wanted_ & ~armed_for_) != 0) renew(loop);
  }

  /// Ends the poll in flight, so that the driver arms another one.
  void renew(rondo::detail::engine& loop) noexcept {
    if (!in_kernel_ || canceled_) return;
    canceled_ = true;
    loop.cancel(*this);
  }

  /// False when the kernel takes no entry.
  [[nodiscard]] bool arm(rondo::detail::engine& loop) noexcept {
    io_uring_sqe* const entry = loop.reserve();
    if (entry == nullptr) return false;
    io_uring_prep_poll_add(entry, fd_, static_cast<unsigned>(wanted_));
    loop.launch(*entry, *this);
    armed_for_ = wanted_;
    in_kernel_ = true;
    canceled_ = false;
    return true;
  }

  /// What the last poll has seen, in libcurl's terms; once. Errors and hang-ups count as ready, so
  /// that libcurl meets them itself and says which they are.
  [[nodiscard]] int take_events() noexcept {
    const bool broken = (seen_ & (POLLERR | POLLHUP)) != 0;
    int events = 0;
    if ((wanted_ & POLLIN) != 0 && (broken || (seen_ & POLLIN) != 0)) events |= CURL_CSELECT_IN;
    if ((wanted_ & POLLOUT) != 0 && (broken || (seen_ & POLLOUT) != 0)) events |= CURL_CSELECT_OUT;
    if ((seen_ & POLLNVAL) != 0) events |= CURL_CSELECT_ERR;
    seen_ = 0;
    return events;
  }
  void saw(int events) noexcept { seen_ = static_cast<short>(events); }
  [[nodiscard]] bool was_canceled() const noexcept { return canceled_; }

  /// libcurl is no longer interested. The watcher frees itself, at once if the kernel does not hold
  /// it.
  void retire(rondo::detail::engine* loop,
              rondo::detail::intrusive_list<watcher_place>& retired) noexcept {
    watcher_place::unlink();
    on_poll_ = nullptr;
    if (!in_kernel_) {
      if (in_flight::linked()) in_flight::unlink();
      delete this;
      return;
    }
    retired.push_back(*this);
    renew(*loop);
  }
  /// Closes the socket when the poll has ended. Only for a retired one.
  void close_later() noexcept { socket_ = descriptor(fd_); }

  static void* operator new(std::size_t size) { return rondo::detail::allocate_frame(size); }
  static void operator delete(void* block, std::size_t size) noexcept {
    rondo::detail::free_frame(block, size);
  }

 private:
  ~watcher() = default;

  static void completed(in_flight& self, int result, std::uint32_t) noexcept {
    auto& w = static_cast<watcher&>(self);
    w.in_flight::unlink();
    w.in_kernel_ = false;
    if (w.on_poll_ != nullptr) {
      w.on_poll_(w.owner_, w, result);
      return;
    }
    if (w.watcher_place::linked()) w.watcher_place::unlink();
    delete &w;
  }
  static constexpr rondo::detail::flight_kind kind{{}, &completed};

  int fd_;
  short wanted_ = 0;
  short armed_for_ = 0;
  short seen_ = 0;
  bool in_kernel_ = false;
  bool canceled_ = false;  // by us; any other cancellation comes from a loop that ends
  void* owner_;
  told on_poll_;           // null: retired
  descriptor socket_;
};

}  // namespace rondo::http::detail
