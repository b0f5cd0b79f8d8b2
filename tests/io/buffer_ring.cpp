// SPDX-License-Identifier: BSL-1.0

#include <linux/io_uring.h>  // first, as a program may: see entries_of in loop/liburing.hpp

#include <rondo/io/buffer_ring.hpp>

#include <rondo/net/tcp.hpp>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;

static_assert(std::is_nothrow_move_constructible_v<buffer_ring::chunk>);
static_assert(!std::is_copy_constructible_v<buffer_ring::chunk>);
static_assert(std::is_convertible_v<buffer_ring::chunk&, const_buffer>);

TEST_CASE("a ring has as many buffers as asked for, rounded up to a power of two") {
  CHECK(buffer_ring{1, 16}.count() == 1);
  CHECK(buffer_ring{5, 16}.count() == 8);
  CHECK(buffer_ring{32768, 1}.count() == 32768);
  const buffer_ring ring{64, 1500};
  CHECK(ring.size() == 1500);
  CHECK(ring.available() == 64);
}

TEST_CASE("a ring of no buffers, of too many, or of empty or huge ones is an error") {
  CHECK_THROWS_AS((buffer_ring{0, 16}), std::invalid_argument);
  CHECK_THROWS_AS((buffer_ring{32769, 16}), std::invalid_argument);
  CHECK_THROWS_AS((buffer_ring{16, 0}), std::invalid_argument);
  CHECK_THROWS_AS((buffer_ring{16, (std::size_t{1} << 30) + 1}), std::invalid_argument);
  CHECK_THROWS_AS((buffer_ring{32768, std::size_t{1} << 30}), std::bad_alloc);
}

TEST_CASE("a ring that nobody uses leaves nothing behind") {
  const auto before = rondo_test::live_blocks();
  {
    buffer_ring ring{16, 4096};
    const buffer_ring moved = std::move(ring);
    CHECK(moved.available() == 16);
  }
  CHECK(rondo_test::live_blocks() == before);
}

LOOP_TEST("chunks are moved, swapped and assigned, and each buffer comes back once") {
  buffer_ring ring{4, 8};
  tcp_ends ends = co_await tcp_pair();
  auto chunks = ends.b.receive_many(ring);
  const auto get = [&](std::string_view text) -> task<buffer_ring::chunk> {
    co_await ends.a.write(text);
    auto c = co_await chunks.next();
    co_return std::move(*c);
  };
  buffer_ring::chunk first = co_await get("one");
  buffer_ring::chunk second = co_await get("two");
  CHECK(ring.available() == 2);
  first.swap(second);
  CHECK(first.view() == "two");
  first.data()[0] = 'T';
  CHECK(first.view() == "Two");
  second = std::move(first);
  CHECK(ring.available() == 3);
  CHECK(second.view() == "Two");
  buffer_ring::chunk third = std::move(second);
  second = std::move(third);
  CHECK(second.view() == "Two");
  CHECK(ring.available() == 3);
}

LOOP_TEST("many rings live on one loop") {
  for (int round = 0; round < 3; ++round) {
    std::vector<buffer_ring> rings;
    tcp_ends ends = co_await tcp_pair();
    for (int i = 0; i < 20; ++i) rings.emplace_back(2, 8);
    for (buffer_ring& ring : rings) {
      auto chunks = ends.b.receive_many(ring);
      co_await ends.a.write("x");
      const auto c = co_await chunks.next();
      CHECK(c->view() == "x");
      co_await chunks.close();
    }
  }
}
