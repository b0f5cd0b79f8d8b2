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

/// What a loop's timers go by; see loop/loop_clock.hpp.
enum class clock {
  steady,        // std::chrono::steady_clock
  virtual_time,  // for tests: when nothing can run, it is the next timer's time
};

/// Make it in a statement of its own, not inside a co_await expression.
struct loop_options {
  /// Submission queue entries: how many operations go to the kernel in one call. More may be in
  /// flight.
  unsigned entries = 256;
  /// If automatic, the environment may name one: RONDO_BACKEND=epoll. See event_loop::backend.
  rondo::backend backend = rondo::backend::automatic;
  rondo::clock clock = rondo::clock::steady;
  /// Looks for what is slow or forgotten, and tells on_unhandled: slow_resume, never_awaited,
  /// left_over; the default one then prints suppressed errors, too. Tells format_tasks since when
  /// a task has been suspended. Costs two looks at the clock for each resumption.
  /// The environment may set it: RONDO_DEBUG=1.
  bool debug = false;
  /// With `debug`: a task that keeps the loop for longer than this, in real time, is reported.
  std::chrono::nanoseconds slow_resume_threshold = std::chrono::milliseconds(100);
  /// Timers that are due this close together wake the loop once. Virtual time has no need of it.
  std::chrono::nanoseconds timer_slack = std::chrono::microseconds(50);
  /// How long `run` waits, in real time, for what is left when the root has ended and was canceled
  /// then; after that it tells on_unhandled what that is (left_over, with the tree of tasks), and
  /// throws drain_error. Zero: as long as it takes.
  ///
  /// What is left may still be written to by the kernel, or by a thread, so it is not freed: it
  /// stays the loop's, whose next run and whose destructor go on waiting. `rondo::run`, whose loop
  /// nobody else has, abandons it: it runs no more, and its memory and descriptors stay. What its
  /// tasks use of others' has to stay as well: an event that one of them waits for, a session.
  std::chrono::nanoseconds drain_timeout{0};
  /// Threads for calls that block (name look-up, to_thread); 0: as many as there are processors,
  /// and at least 4. Each call that waits for others (for a futex, on epoll) has one besides.
  std::size_t max_threads = 0;
  /// While a loop runs, SIGPIPE is ignored if it was at its default, so that writing to a pipe
  /// whose reader has gone is an error of that write and not the end of the process.
  bool ignore_sigpipe = true;
  /// Called on the loop's thread with every error that nobody awaited. The default prints one line
  /// on stderr, and nothing for suppressed errors. Must not throw.
  std::function<void(const unhandled_error&)> on_unhandled{};
  /// Virtual time passes over what may wait for ever (a socket, a pipe, a oneshot) when nothing has
  /// arrived for this long, in real time.
  std::chrono::nanoseconds virtual_grace = std::chrono::milliseconds(5);
  /// For tests: see rondo/testing.hpp.
  std::shared_ptr<detail::interference> interference{};

  /// Everything as usual, with virtual time.
  [[nodiscard]] static loop_options virtual_time() {
    loop_options options;
    options.clock = rondo::clock::virtual_time;
    return options;
  }
};

struct loop_stats {
  std::uint64_t turns = 0;
  std::uint64_t system_calls = 0;  // into the ring
  std::size_t timers = 0;          // armed now
};

}  // namespace rondo
