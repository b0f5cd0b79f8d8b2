// SPDX-License-Identifier: BSL-1.0

// A lock that is not awaited does not lock: the compiler warns about it.
// expect: nothing is acquired until this is awaited

#include <rondo/rondo.hpp>

auto lock(rondo::mutex& m) { return m.lock(); }

rondo::task<> caller(rondo::mutex& m) {
#ifdef RONDO_CONTROL
  const auto guard = co_await lock(m);
#else
  lock(m);
  co_return;
#endif
}
