// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Memory for direct I/O (open_mode::direct), where data goes between the disk and the program
// without the page cache. The kernel then wants address, size and offset to be multiples of the
// disk's block: 512 bytes on some, 4096 on any.
//
//     rondo::file disk = co_await rondo::file::open(path, open_mode::read | open_mode::direct);
//     rondo::aligned_buffer block(1 << 20);
//     const std::size_t n = co_await disk.read_at(block, 0);

#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <rondo/io/buffer.hpp>

namespace rondo {

namespace detail {
struct aligned_delete {
  std::size_t alignment = 4096;
  void operator()(std::byte* memory) const noexcept {
    ::operator delete(memory, std::align_val_t{alignment});
  }
};
}  // namespace detail

/// Uninitialized bytes at an aligned address; the size is what was asked for, rounded up. Movable.
class aligned_buffer {
 public:
  static constexpr std::size_t default_alignment = 4096;

  aligned_buffer() noexcept = default;
  /// `alignment`: a power of two. Throws: std::bad_alloc, std::invalid_argument.
  explicit aligned_buffer(std::size_t size, std::size_t alignment = default_alignment)
      : size_(rounded(size, alignment)),
        data_(static_cast<std::byte*>(::operator new(size_, std::align_val_t{alignment})),
              detail::aligned_delete{alignment}) {}
  aligned_buffer(aligned_buffer&& other) noexcept
      : size_(std::exchange(other.size_, 0)), data_(std::move(other.data_)) {}
  aligned_buffer& operator=(aligned_buffer&& other) noexcept {
    size_ = std::exchange(other.size_, 0);
    data_ = std::move(other.data_);
    return *this;
  }
  ~aligned_buffer() = default;

  [[nodiscard]] std::byte* data() noexcept { return data_.get(); }
  [[nodiscard]] const std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Some of it: both multiples of the alignment, for direct I/O.
  [[nodiscard]] std::span<std::byte> part(std::size_t from, std::size_t size) & noexcept {
    return std::span(data_.get(), size_).subspan(from, size);
  }
  operator mutable_buffer() & noexcept { return {data_.get(), size_}; }
  operator const_buffer() const noexcept { return {data_.get(), size_}; }

 private:
  static std::size_t rounded(std::size_t size, std::size_t alignment) {
    if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
      throw std::invalid_argument("aligned_buffer: the alignment must be a power of two");
    }
    if (size > static_cast<std::size_t>(-1) - alignment) throw std::bad_alloc();
    return (size + alignment - 1) & ~(alignment - 1);
  }

  std::size_t size_ = 0;
  std::unique_ptr<std::byte, detail::aligned_delete> data_;
};

namespace detail {
template <>
struct owns_elements<aligned_buffer> : std::true_type {};
}  // namespace detail

}  // namespace rondo
