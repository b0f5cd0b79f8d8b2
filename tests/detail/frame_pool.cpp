// SPDX-License-Identifier: BSL-1.0

// Where frames come from: lists by size, of blocks that were used before.

#include <rondo/detail/frame_pool.hpp>

#include <cstddef>
#include <cstring>
#include <vector>

#include "support/heap.hpp"
#include "support/helpers.hpp"

using rondo::detail::allocate_frame;
using rondo::detail::frame_cache;
using rondo::detail::free_frame;

namespace {

/// The largest that is kept.
constexpr std::size_t largest = frame_cache::block_size(frame_cache::classes);

}  // namespace

TEST_CASE("a block is as large as its class says, and no class is larger than need be") {
  STATIC_REQUIRE(largest == 6152);
  STATIC_REQUIRE(frame_cache::size_class(largest) == frame_cache::classes);
  STATIC_REQUIRE(frame_cache::size_class(largest + 1) > frame_cache::classes);
  std::size_t wrong = 0;
  for (std::size_t size = 1; size <= largest; ++size) {
    const std::size_t index = frame_cache::size_class(size);
    if (frame_cache::block_size(index) < size || frame_cache::block_size(index - 1) >= size) ++wrong;
  }
  CHECK(wrong == 0);
}

#if RONDO_FRAME_POOL
TEST_CASE("a block that was freed serves the next of its class, large ones, too") {
  for (const std::size_t size : {std::size_t{8}, std::size_t{64}, std::size_t{1024},
                                 std::size_t{1033}, std::size_t{4200}, largest}) {
    free_frame(allocate_frame(size), size);
    const auto before = rondo_test::allocations();
    void* const again = allocate_frame(size);
    std::memset(again, 1, size);
    free_frame(again, size);
    const auto during = rondo_test::allocations() - before;
    CHECK(during == 0);
  }
}

TEST_CASE("what is larger than the largest class is not kept") {
  const auto live = rondo_test::live_blocks();
  free_frame(allocate_frame(largest + 1), largest + 1);
  const auto left = rondo_test::live_blocks() - live;
  CHECK(left == 0);
}

TEST_CASE("a thread keeps a limited number of bytes, of large blocks, too") {
  const auto live = rondo_test::live_blocks();
  const std::size_t count = frame_cache::most_kept / largest + 100;
  std::vector<void*> blocks;
  blocks.reserve(count);
  const auto vector_itself = rondo_test::live_blocks() - live;
  for (std::size_t i = 0; i < count; ++i) blocks.push_back(allocate_frame(largest));
  for (void* block : blocks) free_frame(block, largest);
  const auto kept = static_cast<std::size_t>(rondo_test::live_blocks() - live - vector_itself);
  CHECK(kept <= frame_cache::most_kept / largest);
  CHECK(rondo::detail::frames.kept <= frame_cache::most_kept);
}
#endif
