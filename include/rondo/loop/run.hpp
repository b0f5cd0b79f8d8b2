// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// run: a program's way in. asyncio.run, and what main() needs around it.
//
//     rondo::task<> hello() { co_await rondo::sleep_for(1s); puts("hello"); }
//     int main() { return rondo::run_main(hello()); }
//
// Ctrl-C cancels the root task, so destructors and cleanup run; a second Ctrl-C kills, as if nobody
// had caught the first. This is so only while `run` runs, only if SIGINT was at its default, and
// for one loop at a time.

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <rondo/loop/event_loop.hpp>

namespace rondo {

namespace detail {

class interrupt_guard {
 public:
  explicit interrupt_guard(event_loop& loop) noexcept {
    struct sigaction old {};
    ::sigaction(SIGINT, nullptr, &old);
    // What `signals` puts back after an earlier run had ended is as good as the default.
    const bool at_default = (old.sa_flags & SA_SIGINFO) == 0 &&
                            (old.sa_handler == SIG_DFL || old.sa_handler == &handle);
    if (!at_default) return;
    event_loop* nobody = nullptr;
    if (!target_.compare_exchange_strong(nobody, &loop)) return;
    hit_.store(false);
    struct sigaction mine {};
    mine.sa_handler = &interrupt_guard::handle;
    ::sigemptyset(&mine.sa_mask);
    ::sigaction(SIGINT, &mine, nullptr);
    active_ = true;
  }
  interrupt_guard(const interrupt_guard&) = delete;
  interrupt_guard& operator=(const interrupt_guard&) = delete;
  ~interrupt_guard() {
    if (!active_) return;
    struct sigaction now {};
    ::sigaction(SIGINT, nullptr, &now);
    const bool still_mine = (now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == &handle;
    if (still_mine) ::signal(SIGINT, SIG_DFL);
    target_.store(nullptr);
  }

  [[nodiscard]] bool hit() const noexcept { return active_ && hit_.load(); }

 private:
  static void handle(int) noexcept {
    const int saved = errno;
    event_loop* const loop = target_.load();
    if (loop == nullptr || hit_.exchange(true)) {
      ::signal(SIGINT, SIG_DFL);
      ::raise(SIGINT);
    } else {
      loop->stop();
    }
    errno = saved;
  }

  static inline std::atomic<event_loop*> target_{nullptr};
  static inline std::atomic<bool> hit_{false};
  static_assert(std::atomic<event_loop*>::is_always_lock_free);

  bool active_ = false;
};

/// The loop of one `run`. One that does not end in time is kept for ever, since the kernel or a
/// thread may still write to what it holds.
struct loop_of_run {
  explicit loop_of_run(loop_options options) : loop(std::move(options)) {}

  static void abandon(std::unique_ptr<loop_of_run> own) noexcept {
    own->next = abandoned.load();
    while (!abandoned.compare_exchange_weak(own->next, own.get())) {
    }
    static_cast<void>(own.release());
  }

  event_loop loop;
  loop_of_run* next = nullptr;
  static inline std::atomic<loop_of_run*> abandoned{nullptr};
};

}  // namespace detail

/// Runs a task, or anything awaitable, on a fresh loop; gives its value or rethrows its error.
///
/// Throws: interrupted when Ctrl-C canceled it; operation_canceled when something else did;
/// std::logic_error inside a running loop; std::system_error when there can be no loop; drain_error,
/// see loop_options::drain_timeout.
template <awaitable A>
auto run(A&& root, loop_options options = {}) -> await_result_t<A> {
  if (detail::running_loop != nullptr) {
    throw std::logic_error("rondo: run inside a running loop; use co_await, or spawn");
  }
  auto own = std::make_unique<detail::loop_of_run>(std::move(options));
  const detail::interrupt_guard guard(own->loop);
  try {
    return own->loop.run(std::forward<A>(root));
  } catch (const operation_canceled&) {
    if (guard.hit()) throw interrupted();
    throw;
  } catch (...) {
    if (!own->loop.gave_up()) throw;
    detail::loop_of_run::abandon(std::move(own));
    if (guard.hit()) throw interrupted();
    throw;
  }
}

/// For main(): runs the task and gives the exit status. An error is printed as one line on stderr,
/// and gives 1; Ctrl-C gives 130.
template <typename T>
  requires(std::is_void_v<T> || std::is_same_v<T, int>)
[[nodiscard]] int run_main(task<T> root, loop_options options = {}) {
  try {
    if constexpr (std::is_void_v<T>) {
      run(std::move(root), std::move(options));
      return 0;
    } else {
      return run(std::move(root), std::move(options));
    }
  } catch (const interrupted&) {
    return 130;
  } catch (...) {
    std::fprintf(stderr, "error: %s\n", detail::describe(std::current_exception()).c_str());
    return 1;
  }
}

}  // namespace rondo
