// SPDX-License-Identifier: BSL-1.0

// A sleep that is not awaited does not sleep: the compiler warns about it.
// expect: a sleep does nothing until it is awaited

#include <chrono>
#include <rondo/rondo.hpp>

auto nap() { return rondo::sleep_for(std::chrono::seconds(1)); }

rondo::task<> caller() {
#ifdef RONDO_CONTROL
  co_await nap();
#else
  nap();
  co_return;
#endif
}
