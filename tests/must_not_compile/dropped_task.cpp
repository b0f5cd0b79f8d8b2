// SPDX-License-Identifier: BSL-1.0

// A task that is neither awaited nor kept never runs: the compiler warns about it.
// expect: nodiscard

#include <rondo/rondo.hpp>

rondo::task<int> answer() { co_return 42; }

rondo::task<int> caller() {
#ifdef RONDO_CONTROL
  co_return co_await answer();
#else
  answer();
  co_return 0;
#endif
}
