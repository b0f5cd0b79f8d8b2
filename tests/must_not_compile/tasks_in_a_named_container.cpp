// SPDX-License-Identifier: BSL-1.0

// The tasks of a container are awaited once: the container is given away.
// expect: when_all(std::move(

#include <rondo/rondo.hpp>
#include <utility>
#include <vector>

rondo::task<> caller(std::vector<rondo::task<>> tasks) {
#ifdef RONDO_CONTROL
  co_await rondo::when_all(std::move(tasks));
#else
  co_await rondo::when_all(tasks);
#endif
}
