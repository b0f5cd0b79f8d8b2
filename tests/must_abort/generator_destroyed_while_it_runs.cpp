// SPDX-License-Identifier: BSL-1.0

// A generator runs while its next() is awaited: destroying it then is a mistake that is found at
// once.
// expect: rondo: an async_generator was destroyed while its next() was awaited

#include <chrono>
#include <cstdio>
#include <optional>
#include <rondo/rondo.hpp>

rondo::async_generator<int> slow() {
  co_await rondo::sleep_for(std::chrono::milliseconds(1));
  co_yield 1;
}

rondo::task<> caller() {
  std::optional<rondo::async_generator<int>> g(slow());
  auto asking = rondo::spawn([](rondo::async_generator<int>& from) -> rondo::task<> {
    static_cast<void>(co_await from.next());
  }, std::ref(*g));
  co_await rondo::yield();
  co_await rondo::yield();
  g.reset();
  co_await asking;
}

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  return rondo::run_main(caller());
#endif
}
