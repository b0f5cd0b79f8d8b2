// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What can be chosen about a loop, and what it can tell about itself.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include <rondo/core/error.hpp>

namespace rondo {

namespace detail {
class interference;
}

/// Who carries out what is asked: the kernel's io_uring, or the library with epoll and threads. The
/// results are the same; io_uring is faster.
enum class backend {
  automatic,  // io_uring where it works, else epoll
  io_uring,
  epoll,
};

/// Make it in a statement of its own, not inside a co_await expression.
struct loop_options {
  /// Submission queue entries: how many operations go to the kernel in one call. More may be in
  /// flight.
  unsigned entries = 256;
  /// If automatic, the environment may name one: RONDO_BACKEND=epoll. See event_loop::backend.
  rondo::backend backend = rondo::backend::automatic;
  /// Timers that are due this close together wake the loop once.
  std::chrono::nanoseconds timer_slack = std::chrono::microseconds(50);
  /// Threads for calls that block (name look-up, to_thread); 0: as many as there are processors,
  /// and at least 4.
  std::size_t max_threads = 0;
  /// While a loop runs, SIGPIPE is ignored if it was at its default, so that writing to a pipe
  /// whose reader has gone is an error of that write and not the end of the process.
  bool ignore_sigpipe = true;
  /// Called on the loop's thread with every error that nobody awaited. The default prints one line
  /// on stderr, and nothing for suppressed errors. Must not throw.
  std::function<void(const unhandled_error&)> on_unhandled;
  /// For tests: see rondo/testing.hpp.
  std::shared_ptr<detail::interference> interference{};
};

struct loop_stats {
  std::uint64_t turns = 0;
  std::uint64_t system_calls = 0;  // into the ring
  std::size_t timers = 0;          // armed now
};

}  // namespace rondo
