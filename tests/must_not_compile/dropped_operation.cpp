// SPDX-License-Identifier: BSL-1.0

// An operation that is not awaited never reaches the kernel: the compiler warns about it.
// expect: an operation does nothing until it is awaited

#include <rondo/rondo.hpp>

auto round_trip() { return rondo::io::nop(); }

rondo::task<> caller() {
#ifdef RONDO_CONTROL
  co_await round_trip();
#else
  round_trip();
  co_return;
#endif
}
