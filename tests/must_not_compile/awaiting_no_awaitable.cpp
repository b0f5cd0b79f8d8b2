// SPDX-License-Identifier: BSL-1.0

// What cannot be awaited is named as such.
// expect: co_await in a rondo::task needs an awaitable

#include <rondo/rondo.hpp>

int plain();
rondo::task<int> wrapped() { co_return plain(); }

rondo::task<int> caller() {
#ifdef RONDO_CONTROL
  co_return co_await wrapped();
#else
  co_await plain();
  co_return 0;
#endif
}
