// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/detail/frame_pool.hpp>

namespace rondo::detail {

/// A fixed number of objects that never move, in one allocation.
template <typename T>
class slots {
 public:
  explicit slots(std::size_t capacity)
      : items_(static_cast<T*>(allocate_frame(bytes(capacity)))), capacity_(capacity) {
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
  }
  slots(const slots&) = delete;
  slots& operator=(const slots&) = delete;
  ~slots() {
    std::destroy_n(items_, size_);
    free_frame(items_, bytes(capacity_));
  }
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    RONDO_ASSERT(size_ < capacity_, "more slots than were counted");
    T& made = *std::construct_at(items_ + size_, std::forward<Args>(args)...);
    ++size_;
    return made;
  }
  void pop_back() noexcept { std::destroy_at(items_ + --size_); }
  [[nodiscard]] bool full() const noexcept { return size_ == capacity_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return items_[index]; }
  [[nodiscard]] T* begin() noexcept { return items_; }
  [[nodiscard]] T* end() noexcept { return items_ + size_; }

 private:
  static std::size_t bytes(std::size_t capacity) noexcept {
    return std::max<std::size_t>(capacity, 1) * sizeof(T);
  }

  T* items_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

}  // namespace rondo::detail
