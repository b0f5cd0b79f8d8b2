// SPDX-License-Identifier: BSL-1.0

// A channel outlives those who wait for it: destroying it before is a mistake that is found at once.
// expect: rondo: what a task waits for (a lock, an event, a channel

#include <cstdio>
#include <memory>
#include <rondo/rondo.hpp>

rondo::task<> caller() {
  auto c = std::make_unique<rondo::channel<int>>(1);
  auto receives = rondo::spawn([](rondo::channel<int>& from) -> rondo::task<> {
    static_cast<void>(co_await from.receive());
  }, std::ref(*c));
  co_await rondo::yield();
  co_await rondo::yield();
  c.reset();
  co_await receives;
}

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  return rondo::run_main(caller());
#endif
}
