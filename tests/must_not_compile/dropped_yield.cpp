// SPDX-License-Identifier: BSL-1.0

// A yield that is not awaited lets nobody else run: the compiler warns about it.
// expect: a checkpoint does nothing until it is awaited

#include <rondo/rondo.hpp>

auto let_others_run() { return rondo::yield(); }

rondo::task<> caller() {
#ifdef RONDO_CONTROL
  co_await let_others_run();
#else
  let_others_run();
  co_return;
#endif
}
