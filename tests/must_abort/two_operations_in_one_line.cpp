// SPDX-License-Identifier: BSL-1.0

// A line of work waits for one thing at a time; a combinator gives each child a line of its own.
// expect: rondo: two operations at once in one line of work

#include <cstdio>
#include <rondo/core/ready_queue.hpp>
#include <rondo/core/scope.hpp>

struct bare_loop : rondo::detail::loop_base {};

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  bare_loop loop;
  rondo::detail::scope line(loop);
  static constexpr rondo::detail::leaf_kind kind{"a test's", [](rondo::detail::leaf&) noexcept {}};
  rondo::detail::leaf first{&kind};
  rondo::detail::leaf second = first;
  line.enter(first);
  line.enter(second);
  return 0;
#endif
}
