// SPDX-License-Identifier: BSL-1.0

// A send that is not awaited sends nothing: the compiler warns about it.
// expect: nothing is sent until this is awaited

#include <rondo/rondo.hpp>

auto send(rondo::channel<int>& c) { return c.send(1); }

rondo::task<> caller(rondo::channel<int>& c) {
#ifdef RONDO_CONTROL
  co_await send(c);
#else
  send(c);
  co_return;
#endif
}
