// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Replaces the program's operator new and delete with some that count and can be told to fail; see
// rondo/testing/heap.hpp. Include it in one source file of a test program, and nowhere else.
//
// It is on top of malloc and free, so that sanitizers still see every block; but not for clang's
// ThreadSanitizer, whose operator new cannot be replaced.

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include <rondo/testing/heap.hpp>

namespace rondo::testing {

namespace detail {

inline std::atomic<std::size_t> news{0};
inline std::atomic<std::size_t> deletes{0};
inline std::atomic<std::size_t> until_failure{0};  // 0: none is to come
inline std::atomic<bool> failed{false};

inline bool fails_now() noexcept {
  std::size_t left = until_failure.load(std::memory_order_relaxed);
  while (left != 0) {
    if (!until_failure.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) continue;
    if (left != 1) return false;
    failed.store(true, std::memory_order_relaxed);
    return true;
  }
  return false;
}

inline void* allocate(std::size_t size, std::size_t alignment) noexcept {
  if (fails_now()) return nullptr;
  if (size == 0) size = 1;
  void* const block =
      alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
          ? std::malloc(size)
          : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (block != nullptr) news.fetch_add(1, std::memory_order_relaxed);
  return block;
}

inline void* allocate_or_throw(std::size_t size, std::size_t alignment = 1) {
  if (void* const block = allocate(size, alignment)) return block;
  throw std::bad_alloc();
}

inline void release(void* block) noexcept {
  if (block == nullptr) return;
  deletes.fetch_add(1, std::memory_order_relaxed);
  std::free(block);
}

inline std::size_t number(std::align_val_t alignment) noexcept {
  return static_cast<std::size_t>(alignment);
}

}  // namespace detail

std::size_t allocations() noexcept { return detail::news.load(std::memory_order_relaxed); }
std::size_t live_blocks() noexcept {
  return allocations() - detail::deletes.load(std::memory_order_relaxed);
}
void fail_allocation(std::size_t n) noexcept {
  detail::failed.store(false, std::memory_order_relaxed);
  detail::until_failure.store(n, std::memory_order_relaxed);
}
bool allocation_failed() noexcept { return detail::failed.load(std::memory_order_relaxed); }

}  // namespace rondo::testing

// clang-format off
void* operator new(std::size_t n) { return rondo::testing::detail::allocate_or_throw(n); }
void* operator new[](std::size_t n) { return rondo::testing::detail::allocate_or_throw(n); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return rondo::testing::detail::allocate(n, 1); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return rondo::testing::detail::allocate(n, 1); }
void* operator new(std::size_t n, std::align_val_t a) { return rondo::testing::detail::allocate_or_throw(n, rondo::testing::detail::number(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return rondo::testing::detail::allocate_or_throw(n, rondo::testing::detail::number(a)); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return rondo::testing::detail::allocate(n, rondo::testing::detail::number(a)); }
void* operator new[](std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return rondo::testing::detail::allocate(n, rondo::testing::detail::number(a)); }
void operator delete(void* p) noexcept { rondo::testing::detail::release(p); }
void operator delete[](void* p) noexcept { rondo::testing::detail::release(p); }
void operator delete(void* p, std::size_t) noexcept { rondo::testing::detail::release(p); }
void operator delete[](void* p, std::size_t) noexcept { rondo::testing::detail::release(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { rondo::testing::detail::release(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { rondo::testing::detail::release(p); }
void operator delete(void* p, std::align_val_t) noexcept { rondo::testing::detail::release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { rondo::testing::detail::release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { rondo::testing::detail::release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { rondo::testing::detail::release(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { rondo::testing::detail::release(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { rondo::testing::detail::release(p); }
// clang-format on
