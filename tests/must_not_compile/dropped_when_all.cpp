// SPDX-License-Identifier: BSL-1.0

// A when_all that is not awaited starts no child: the compiler warns about it.
// expect: a combinator does nothing until it is awaited

#include <rondo/rondo.hpp>

auto both() { return rondo::when_all(rondo::yield(), rondo::yield()); }

rondo::task<> caller() {
#ifdef RONDO_CONTROL
  co_await both();
#else
  both();
  co_return;
#endif
}
