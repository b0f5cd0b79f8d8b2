// SPDX-License-Identifier: BSL-1.0

// A with_timeout that is not awaited does not start what it surrounds: the compiler warns about it.
// expect: a timeout does nothing until it is awaited

#include <chrono>
#include <rondo/rondo.hpp>

auto limited() { return rondo::with_timeout(std::chrono::seconds(1), rondo::io::nop()); }

rondo::task<> caller() {
#ifdef RONDO_CONTROL
  co_await limited();
#else
  limited();
  co_return;
#endif
}
