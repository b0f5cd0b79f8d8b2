// SPDX-License-Identifier: BSL-1.0

// A timer has one deadline at a time.
// expect: rondo: a timer was armed twice

#include <cstdio>
#include <rondo/loop/timers.hpp>

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  rondo::detail::timer t([](rondo::detail::timer&) noexcept {});
  rondo::detail::timer_queue queue;
  return queue.arm(t, rondo::time_point::max()) && queue.arm(t, rondo::time_point()) ? 0 : 1;
#endif
}
