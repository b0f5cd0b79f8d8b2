// SPDX-License-Identifier: BSL-1.0

// A combinator that starts children in a row settles after each of them.
// expect: rondo: two coroutines in the bounce slot: a combinator did not settle

#include <coroutine>
#include <cstdio>
#include <rondo/core/ready_queue.hpp>

struct bare_loop : rondo::detail::loop_base {};

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  bare_loop loop;
  loop.bounce(std::noop_coroutine());
  loop.bounce(std::noop_coroutine());
  return 0;
#endif
}
