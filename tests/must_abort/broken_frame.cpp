// SPDX-License-Identifier: BSL-1.0

// GCC 12.1 and 12.2 lay out the frame of this coroutine wrongly; it is told before it runs.
// expect: rondo: GCC 12.2 miscompiles this coroutine
// expect: const auto c = co_await ...; if (c)

#include <cstdio>
#include <rondo/rondo.hpp>

rondo::task<bool> yes() { co_return true; }

rondo::task<> caller() {
  if (co_await yes()) std::puts("it ran");
}

int main() {
#if RONDO_CHECK_FRAMES
  return rondo::run_main(caller());
#else
  std::puts("skipped: needs GCC 12.1 or 12.2");
  return 0;
#endif
}
