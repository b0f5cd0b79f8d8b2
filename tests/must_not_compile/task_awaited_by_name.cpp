// SPDX-License-Identifier: BSL-1.0

// A task is awaited once, and the place where it is given away is to be seen.
// expect: this is awaited once: write co_await std::move(x), or await it where it is made

#include <rondo/rondo.hpp>
#include <utility>

rondo::task<int> answer() { co_return 42; }

rondo::task<int> caller() {
  auto kept = answer();
#ifdef RONDO_CONTROL
  co_return co_await std::move(kept);
#else
  co_return co_await kept;
#endif
}
