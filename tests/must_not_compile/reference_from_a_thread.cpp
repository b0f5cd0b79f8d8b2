// SPDX-License-Identifier: BSL-1.0

// A reference to what lives on another thread's stack would dangle.
// expect: to_thread: return a value, not a reference

#include <rondo/rondo.hpp>

int& shared();
int copied();

rondo::task<int> caller() {
#ifdef RONDO_CONTROL
  co_return co_await rondo::to_thread(copied);
#else
  co_return co_await rondo::to_thread(shared);
#endif
}
