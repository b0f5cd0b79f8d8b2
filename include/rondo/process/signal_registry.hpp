// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Who wants to know of which signals, in this process. A handler may run on any thread, between any
// two instructions, and may neither lock nor allocate: it walks a list and writes one byte into the
// pipe of each stream that wants the signal.
//
// Streams come and go on other threads meanwhile. One that goes leaves the list first, and then
// waits until no handler walks it any more: from there on nobody can have seen it.
//
// The first stream for a signal keeps the disposition that it finds, the last one puts it back,
// unless somebody else has changed it since.
//
// A forked child has copies of all this, and of its parent's streams, whose pipes are the parent's.
// They are nothing to it: a signal there has the disposition from before.

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <mutex>
#include <sched.h>
#include <sys/types.h>
#include <unistd.h>

#include <rondo/config.hpp>
#include <rondo/loop/thread_pool.hpp>

namespace rondo::detail {

class RONDO_VISIBLE signal_registry {
 public:
  static constexpr int most = 64;  // numbers begin at 1

  /// In the list from `join` to `leave`. Neither moved nor destroyed between them.
  struct listener {
    std::uint64_t wanted = 0;  // bit n - 1: signal n
    int pipe = -1;             // to write to; it does not block
    pid_t process = -1;        // a forked child has the same pipe, and is not meant
    std::atomic<listener*> next{nullptr};
  };

  /// 0, or an errno: nothing has changed then.
  [[nodiscard]] static int join(listener& l) noexcept {
    const std::lock_guard lock(mutex_);
    if (process_.load() != ::getpid()) forget_parent();
    l.process = ::getpid();
    l.next.store(first_.load());
    first_.store(&l);
    for (int n = 1; n <= most; ++n) {
      if (!wants(l, n)) continue;
      if (const int error = catch_it(n); error != 0) {
        for (int before = 1; before < n; ++before) {
          if (wants(l, before)) let_go(before);
        }
        forget(l);
        return error;
      }
    }
    return 0;
  }
  static void leave(listener& l) noexcept {
    const std::lock_guard lock(mutex_);
    if (process_.load() != ::getpid()) forget_parent();
    if (l.process != ::getpid()) return;
    for (int n = 1; n <= most; ++n) {
      if (wants(l, n)) let_go(n);
    }
    forget(l);
  }

 private:
  struct disposition {
    unsigned streams;
    struct sigaction before;
  };

  static bool wants(const listener& l, int n) noexcept {
    return (l.wanted >> (n - 1) & 1) != 0;
  }

  static int catch_it(int n) noexcept {
    disposition& d = dispositions_[n];
    if (d.streams == 0) {
      struct sigaction mine {};
      mine.sa_sigaction = &signal_registry::handle;
      // The pool's own is to end a call.
      mine.sa_flags = n == pool_interrupt::number ? SA_SIGINFO : SA_SIGINFO | SA_RESTART;
      ::sigemptyset(&mine.sa_mask);
      if (::sigaction(n, &mine, &d.before) != 0) return errno;
    }
    ++d.streams;
    return 0;
  }
  static void let_go(int n) noexcept {
    disposition& d = dispositions_[n];
    if (--d.streams != 0) return;
    struct sigaction now {};
    ::sigaction(n, nullptr, &now);
    const bool mine = (now.sa_flags & SA_SIGINFO) != 0 && now.sa_sigaction == &handle;
    if (mine) ::sigaction(n, &d.before, nullptr);
  }
  static void forget_parent() noexcept {
    for (int n = 1; n <= most; ++n) {
      if (dispositions_[n].streams == 0) continue;
      dispositions_[n].streams = 1;
      let_go(n);
    }
    first_.store(nullptr);
    walking_.store(0);
    process_.store(::getpid());
  }
  static void forget(listener& l) noexcept {
    std::atomic<listener*>* link = &first_;
    while (link->load() != &l) link = &link->load()->next;
    link->store(l.next.load());
    while (walking_.load() != 0) ::sched_yield();
  }

  static void handle(int n, siginfo_t* about, void*) noexcept {
    if (pool_interrupt::is(*about)) return;
    if (process_.load() != ::getpid()) {  // blocked now, so it comes when this returns
      ::sigaction(n, &dispositions_[n].before, nullptr);
      ::raise(n);
      return;
    }
    const int saved = errno;
    const auto byte = static_cast<unsigned char>(n);
    walking_.fetch_add(1);
    for (const listener* l = first_.load(); l != nullptr; l = l->next.load()) {
      if (!wants(*l, n)) continue;
      // A full pipe holds thousands that nobody has looked at.
      [[maybe_unused]] const auto ignored = ::write(l->pipe, &byte, 1);
    }
    walking_.fetch_sub(1);
    errno = saved;
  }

  static inline std::mutex mutex_;
  static inline std::atomic<pid_t> process_{-1};  // whose all this is
  static inline std::atomic<listener*> first_{nullptr};
  static inline std::atomic<int> walking_{0};
  static inline disposition dispositions_[most + 1];  // zero at first, like every static object
  static_assert(std::atomic<listener*>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
                "a handler may only use what is lock-free");
};

}  // namespace rondo::detail
