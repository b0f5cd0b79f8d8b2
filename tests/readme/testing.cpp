// SPDX-License-Identifier: BSL-1.0
//
// What the README shows about testing one's own code; see rules.cpp.

#include <rondo/testing.hpp>

#include <array>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/heap.hpp"
#include "support/loop_test.hpp"

namespace {

/// Sends a text in one direction and gets it back from the other.
rondo::task<bool> comes_back(std::string text) {
  rondo::test::sockets pair;
  auto a = rondo::tcp_stream::adopt(pair.a.release());
  auto b = rondo::tcp_stream::adopt(pair.b.release());
  const auto echo = [](rondo::tcp_stream& from, std::size_t size) -> rondo::task<> {
    std::string all(size, ' ');
    co_await from.read_exactly(all);
    co_await from.write(all);
  };
  std::string received(text.size(), ' ');
  co_await rondo::when_all(a.write(text), echo(b, text.size()));
  co_await a.read_exactly(received);
  co_return received == text;
}

// [faults]
bool survives(std::uint64_t seed) {
  rondo::testing::faults faults(seed);           // the same seed, the same faults
  faults.short_transfers(30).late_completions(20).full_queues(10).refused_calls(5);
  return rondo::run(comes_back(std::string(10'000, 'x')), faults.options());
}
// [faults]

// [memory]
std::size_t allocations_that_may_fail() {
  for (std::size_t n = 1;; ++n) {
    rondo::testing::fail_allocation(n);          // the n-th from now, once
    try {
      rondo::run(comes_back("hello"));
    } catch (const std::bad_alloc&) {
    }
    if (!rondo::testing::allocation_failed()) return n - 1;
  }
}
// [memory]

}  // namespace

ON_BOTH_RINGS("README: bytes arrive whole, whatever goes wrong on the way", {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) CHECK(survives(seed));
})

TEST_CASE("README: memory runs out at each allocation") {
  if (!rondo_test::heap_is_counted()) SKIP("needs an operator new that can be replaced");
  if (!rondo::test::io_uring_works()) SKIP("needs io_uring");
  const rondo::test::on_ring here("io_uring");
  const std::size_t count = allocations_that_may_fail();
  rondo::testing::fail_allocation(0);
  CHECK(count > 0);
}
