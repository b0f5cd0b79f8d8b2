// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// SIGPIPE ends a process that writes to a pipe whose reader has gone. While a loop runs it is
// ignored, as in Python, Go and Rust, so that the write fails instead.

#include <csignal>
#include <mutex>

namespace rondo::detail {

/// Ignores SIGPIPE while at least one loop runs, if it was at its default: the first one sees to
/// it, and the last one undoes it.
class sigpipe_guard {
 public:
  explicit sigpipe_guard(bool ignore) noexcept : counted_(ignore) {
    if (!counted_) return;
    const std::lock_guard lock(mutex_);
    if (loops_++ != 0) return;
    struct sigaction old {};
    ::sigaction(SIGPIPE, nullptr, &old);
    ignored_ = (old.sa_flags & SA_SIGINFO) == 0 && old.sa_handler == SIG_DFL;
    if (ignored_) ::signal(SIGPIPE, SIG_IGN);
  }
  sigpipe_guard(const sigpipe_guard&) = delete;
  sigpipe_guard& operator=(const sigpipe_guard&) = delete;
  ~sigpipe_guard() {
    if (!counted_) return;
    const std::lock_guard lock(mutex_);
    if (--loops_ == 0 && ignored_) ::signal(SIGPIPE, SIG_DFL);
  }

 private:
  static inline constinit std::mutex mutex_;
  static inline int loops_ = 0;
  static inline bool ignored_ = false;

  bool counted_;
};

}  // namespace rondo::detail
