// SPDX-License-Identifier: BSL-1.0

// A task runs on its loop, and cannot go on when that is gone.
// expect: rondo: a loop was destroyed by one of its own tasks

#include <cstdio>
#include <memory>
#include <rondo/rondo.hpp>

std::unique_ptr<rondo::event_loop> the_loop;

rondo::task<> caller() {
  the_loop.reset();
  co_return;
}

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  the_loop = std::make_unique<rondo::event_loop>();
  rondo::event_loop& same = *the_loop;
  same.run(caller());
  return 0;
#endif
}
