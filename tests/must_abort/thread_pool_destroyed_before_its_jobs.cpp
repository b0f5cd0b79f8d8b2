// SPDX-License-Identifier: BSL-1.0

// Whoever waits for a job that was never run would wait for ever.
// expect: rondo: a thread pool was destroyed before its jobs

#include <cstdio>
#include <future>
#include <optional>
#include <rondo/loop/thread_pool.hpp>

using rondo::detail::thread_pool;

struct holding : thread_pool::job {
  holding() : job(&holding::call) {}
  static void call(job& self) noexcept {
    static_cast<holding&>(self).begun.set_value();
    for (;;) std::this_thread::yield();
  }
  std::promise<void> begun;
};

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  holding first;
  holding never_run;
  std::optional<thread_pool> pool(1);
  pool->submit(first);
  first.begun.get_future().get();
  pool->submit(never_run);
  pool.reset();
  return 0;
#endif
}
