// SPDX-License-Identifier: BSL-1.0

// A timer that is gone would be told of its deadline all the same.
// expect: rondo: a timer was destroyed while it was armed

#include <cstdio>
#include <rondo/loop/timers.hpp>

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  rondo::detail::timer_queue queue;
  rondo::detail::timer t([](rondo::detail::timer&) noexcept {});
  return queue.arm(t, rondo::time_point::max()) ? 0 : 1;
#endif
}
