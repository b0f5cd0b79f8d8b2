// SPDX-License-Identifier: BSL-1.0

// An operation that is kept is awaited once, like a task.
// expect: this is awaited once: write co_await std::move(x), or await it where it is made

#include <rondo/rondo.hpp>
#include <utility>

rondo::task<> caller() {
  auto kept = rondo::io::nop();
#ifdef RONDO_CONTROL
  co_await std::move(kept);
#else
  co_await kept;
#endif
}
