// SPDX-License-Identifier: BSL-1.0

// A combinator awaits a task once, as co_await does: one that has a name is given away.
// expect: when_all(std::move(

#include <rondo/rondo.hpp>
#include <utility>

rondo::task<int> one();

rondo::task<> caller(rondo::task<int> named) {
#ifdef RONDO_CONTROL
  co_await rondo::when_all(std::move(named), one());
#else
  co_await rondo::when_all(named, one());
#endif
}
