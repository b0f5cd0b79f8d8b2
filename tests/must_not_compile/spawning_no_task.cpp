// SPDX-License-Identifier: BSL-1.0

// spawn starts what gives a task; a function that gives anything else has nothing to wait for.
// expect: what is to be spawned, and the body of a task group, gives a rondo::task

#include <rondo/rondo.hpp>

int plain();
rondo::task<int> coroutine();

rondo::task<int> caller() {
#ifdef RONDO_CONTROL
  auto h = rondo::spawn(coroutine);
#else
  auto h = rondo::spawn(plain);
#endif
  co_return co_await h;
}
