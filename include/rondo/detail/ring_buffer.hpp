// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A queue in a block that is allocated once, for as many as it was made for: first in, first out. One
// that comes back goes to the front. The block grows only when more come than it was made for.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <utility>

#include <rondo/config.hpp>

namespace rondo::detail {

template <typename T>
class ring_buffer {
 public:
  explicit ring_buffer(std::size_t capacity)
      : slots_(power_of_two(capacity)), block_(allocate(slots_)) {}
  ring_buffer(const ring_buffer&) = delete;
  ring_buffer& operator=(const ring_buffer&) = delete;
  ~ring_buffer() {
    while (size() != 0) drop();
    std::allocator<T>().deallocate(block_, slots_);
  }

  [[nodiscard]] std::size_t size() const noexcept { return tail_ - head_; }

  void push(T&& value) {
    if (size() == slots_) [[unlikely]] grow();
    std::construct_at(at(tail_), std::move(value));
    ++tail_;
  }
  T pop() {
    const popping first{*this};
    return std::move(*at(head_));
  }
  void put_back(T&& value) {
    if (size() == slots_) grow();
    std::construct_at(at(head_ - 1), std::move(value));
    --head_;
  }

 private:
  struct popping {
    ring_buffer& ring;
    ~popping() { ring.drop(); }
  };

  static std::size_t power_of_two(std::size_t n) {
    if (n > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_array_new_length();
    return n != 0 ? std::bit_ceil(n) : 0;
  }
  static T* allocate(std::size_t n) { return n != 0 ? std::allocator<T>().allocate(n) : nullptr; }
  /// Positions count on for ever; a block of a power of two makes each a slot.
  [[nodiscard]] T* at(std::size_t position) const noexcept {
    return block_ + (position & (slots_ - 1));
  }
  void drop() noexcept { std::destroy_at(at(head_++)); }

  void grow() {
    ring_buffer wider(std::max<std::size_t>(2 * slots_, 4));
    while (size() != 0) wider.push(pop());
    std::swap(slots_, wider.slots_);
    std::swap(block_, wider.block_);
    head_ = std::exchange(wider.head_, 0);
    tail_ = std::exchange(wider.tail_, 0);
  }

  std::size_t slots_;
  T* block_;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
};

}  // namespace rondo::detail
