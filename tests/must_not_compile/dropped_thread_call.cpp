// SPDX-License-Identifier: BSL-1.0

// A to_thread that is not awaited calls nothing: the compiler warns about it.
// expect: to_thread does nothing until it is awaited

#include <rondo/rondo.hpp>

int blocking();
auto call() { return rondo::to_thread(blocking); }

rondo::task<> caller() {
#ifdef RONDO_CONTROL
  co_await call();
#else
  call();
  co_return;
#endif
}
