// SPDX-License-Identifier: BSL-1.0

// A task runs once: awaiting it again is a mistake that is found at once.
// expect: rondo: a task was awaited twice, or after it was moved from

#include <cstdio>
#include <rondo/rondo.hpp>
#include <utility>

rondo::task<int> answer() { co_return 42; }

rondo::task<> caller() {
  auto kept = answer();
  const int once = co_await std::move(kept);
  const int twice = co_await std::move(kept);
  std::printf("%d %d\n", once, twice);
}

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  return rondo::run_main(caller());
#endif
}
