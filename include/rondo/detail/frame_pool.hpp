// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Where coroutine frames come from. malloc and free are more than half of what awaiting a small
// child costs, and more for a frame with a buffer in it, since glibc keeps only blocks of up to 1 KiB
// at hand. So a frame that is freed waits in a list of its thread, by size, for the next one.
//
// - Blocks are taken one by one from operator new, so any thread and any shared object may free
//   them.
// - A thread keeps at most `frame_cache::most_kept` bytes; what is freed beyond that is deleted, so
//   that a thread that only frees what others allocate does not collect memory for ever.
// - What is thread-local is constant-initialised and trivially destructible, so it can be used at
//   any time in a thread's life; a separate object gives the blocks back when the thread ends.

#include <cstddef>
#include <new>
#include <utility>

#include <rondo/config.hpp>

namespace rondo::detail {

struct frame_cache {
  // Blocks of 8, 16, ... 1032 bytes, which is what was asked for, and 1048, 1064, ... 6152, which is
  // what glibc's malloc makes of that.
  static constexpr std::size_t granule = 8, small_classes = 129, small = small_classes * granule;
  static constexpr std::size_t large_granule = 16, classes = 449;
  static constexpr std::size_t most_kept = std::size_t{8} << 20;

  struct block {
    block* next;
  };

  block* free[classes + 1];
  std::size_t kept;   // bytes in the lists
  std::size_t limit;  // 0 until the thread has freed its first frame, and again once it has ended
  bool ended;
  void* newest;  // the frame allocated last; read only by the check for broken frames

  static constexpr std::size_t size_class(std::size_t size) noexcept {
    if (size <= small) return (size + granule - 1) / granule;
    return small_classes + (size - small + large_granule - 1) / large_granule;
  }
  static constexpr std::size_t block_size(std::size_t size_class) noexcept {
    if (size_class <= small_classes) return size_class * granule;
    return small + (size_class - small_classes) * large_granule;
  }
};

RONDO_VISIBLE inline constinit thread_local frame_cache frames{};

/// Gives this thread's blocks back when the thread ends.
struct frame_cache_owner {
  frame_cache_owner() noexcept { frames.limit = frame_cache::most_kept; }
  ~frame_cache_owner() {
    frames.limit = 0;
    frames.ended = true;
    for (auto*& list : frames.free) {
      while (list != nullptr) {
        ::operator delete(std::exchange(list, list->next));
      }
    }
    frames.kept = 0;
  }
};

[[gnu::noinline]] inline bool start_keeping_frames() noexcept {
  if (frames.limit != 0 || frames.ended) return false;  // full, or the thread is ending
  static thread_local frame_cache_owner owner;
  return true;
}

// Both are inlined wherever a frame is made or freed, since there the size is known; in a large
// translation unit a compiler would not do that by itself.

[[gnu::always_inline]] inline void* allocate_frame(std::size_t size) {
#if RONDO_FRAME_POOL
  const std::size_t index = frame_cache::size_class(size);
  if (index <= frame_cache::classes) [[likely]] {
    size = frame_cache::block_size(index);
    if (auto* block = frames.free[index]) [[likely]] {
      frames.free[index] = block->next;
      frames.kept -= size;
      return block;
    }
  }
#endif
  return ::operator new(size);
}

[[gnu::always_inline]] inline void free_frame(void* frame,
                                              [[maybe_unused]] std::size_t size) noexcept {
#if RONDO_FRAME_POOL
  const std::size_t index = frame_cache::size_class(size);
  if (index <= frame_cache::classes) [[likely]] {
    size = frame_cache::block_size(index);
    if (frames.kept + size <= frames.limit || start_keeping_frames()) [[likely]] {
      frames.free[index] = ::new (frame) frame_cache::block{frames.free[index]};
      frames.kept += size;
      return;
    }
  }
#endif
  ::operator delete(frame);
}

}  // namespace rondo::detail
