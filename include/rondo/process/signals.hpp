// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// signals: what the process is sent, as a stream. (asyncio: loop.add_signal_handler.)
//
//     auto ends = rondo::signals({SIGINT, SIGTERM});
//     while (auto signal = co_await ends.next()) ...
//
//     co_await when_any(serve(listener, handler), ends.next());      // until somebody ends it
//
// While a stream for SIGINT exists, Ctrl-C does not cancel what `run` runs.

#include <concepts>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <memory>
#include <optional>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <rondo/io/event_queue.hpp>
#include <rondo/loop/own_descriptor.hpp>
#include <rondo/process/signal_registry.hpp>

namespace rondo {

/// A list of signals, in braces or not.
class signal_set {
 public:
  template <std::convertible_to<int>... Numbers>
    requires(sizeof...(Numbers) > 0)
  signal_set(Numbers... numbers) noexcept {
    (add(static_cast<int>(numbers)), ...);
  }

 private:
  friend class signal_stream;
  void add(int number) noexcept {
    if (number < 1 || number > detail::signal_registry::most) {
      valid_ = false;
    } else {
      bits_ |= std::uint64_t{1} << (number - 1);
    }
  }
  std::uint64_t bits_ = 0;
  bool valid_ = true;
};

namespace detail {
struct signal_format {
  using value_type = int;
  static constexpr const char* name = "signals";
  static constexpr std::size_t room = 64;
  static std::optional<int> take(const char* bytes, std::size_t& used) noexcept {
    used = 1;
    return static_cast<unsigned char>(*bytes);
  }
};
}  // namespace detail

/// Each stream gets each signal, in the order in which they came; thousands are kept for one that
/// does not look. Signals of one kind that come at the same moment the kernel makes one.
/// Thread: any, one loop at a time; each loop may have its own. One `next` at a time.
class [[nodiscard("signals are caught as long as the stream exists")]] signal_stream {
 public:
  /// Waits for the next signal. Gives: an optional<int>; empty after close(). Canceled: nothing is
  /// lost.
  auto next() & { return detail::next_event_description<detail::signal_format>(caught_->events); }

  /// Ends the stream. A next() that another task awaits ends, and gives nothing.
  auto close() & { return io::operation(close_op(*caught_)); }

 private:
  friend signal_stream signals(signal_set which);

  struct catching {
    detail::event_buffer<detail::signal_format> events;
    descriptor writer;
    detail::signal_registry::listener listener;
    bool joined = false;

    catching() = default;
    catching(const catching&) = delete;
    catching& operator=(const catching&) = delete;
    ~catching() { leave(); }
    void leave() noexcept {
      if (std::exchange(joined, false)) detail::signal_registry::leave(listener);
    }
  };

  struct close_op : detail::close_events_op<detail::signal_format> {
    catching* caught;
    explicit close_op(catching& of) noexcept : close_events_op(of.events), caught(&of) {}
    int before() noexcept {
      caught->leave();
      return close_events_op::before();
    }
  };

  explicit signal_stream(const signal_set& which);

  std::unique_ptr<catching> caught_;
};

/// Catches these signals from now on: a plain call. When the last stream for a signal has gone, it
/// does what it did before.
/// Throws: std::system_error, for what cannot be caught (SIGKILL, SIGSTOP) or is no signal, and when
/// there is no free descriptor.
[[nodiscard]] inline signal_stream signals(signal_set which) { return signal_stream(which); }

// Implementation

inline signal_stream::signal_stream(const signal_set& which) : caught_(new catching) {
  const auto failed = [](int error) {
    throw std::system_error(error, std::system_category(), "signals");
  };
  if (!which.valid_) failed(EINVAL);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) failed(errno);
  caught_->events.fd = descriptor(detail::out_of_the_way(ends[0]));
  caught_->writer = descriptor(detail::out_of_the_way(ends[1]));
  if (!caught_->events.fd || !caught_->writer) failed(EMFILE);
  caught_->listener.wanted = which.bits_;
  caught_->listener.pipe = caught_->writer.native_handle();
  if (const int error = detail::signal_registry::join(caught_->listener); error != 0) {
    failed(error);
  }
  caught_->joined = true;
}

}  // namespace rondo
