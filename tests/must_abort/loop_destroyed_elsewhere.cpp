// SPDX-License-Identifier: BSL-1.0

// A loop that still owns tasks ends them on the thread that they belong to.
// expect: rondo: a loop that still owns tasks was destroyed on a thread that is not its own

#include <chrono>
#include <cstdio>
#include <memory>
#include <rondo/rondo.hpp>
#include <thread>

rondo::task<> sleeper() { co_await rondo::sleep_for(std::chrono::hours(1)); }

int main() {
#ifdef NDEBUG
  std::puts("skipped: needs a build without NDEBUG");
  return 0;
#else
  auto loop = std::make_unique<rondo::event_loop>();
  loop->run(rondo::io::nop());
  rondo::spawn_options named;
  const auto h = loop->spawn(sleeper(), named);
  std::thread([&] { loop.reset(); }).join();
  return 0;
#endif
}
