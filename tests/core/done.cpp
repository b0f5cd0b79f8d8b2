// SPDX-License-Identifier: BSL-1.0

#include <rondo/core/done.hpp>

#include "support/loop_test.hpp"

using rondo::async_generator;
using rondo::task;

LOOP_TEST("what is done already may be awaited, or not, and is not canceled") {
  const auto twice = []() -> task<int> {
    rondo::detail::done d;
    co_await d;
    co_await rondo::when_all(d, rondo::detail::done());
    co_return 7;
  };
  auto running = rondo::spawn(twice());
  running.cancel();
  const int value = co_await running;
  CHECK(value == 7);
}
