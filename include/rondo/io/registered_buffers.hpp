// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Buffers whose pages the kernel keeps at hand. For a read from a disk it has to find the pages of
// the program's memory and hold them until the data has come; of registered memory it does so once.
//
//     rondo::registered_buffers blocks(32, 65536);
//     const std::size_t n = co_await io::read_fixed(disk.native_handle(), blocks[0], offset);
//     co_await io::write_fixed(other.native_handle(), blocks[0].first(n), offset);
//
// The operations are in io/ops/fixed.hpp. To every other one these are ordinary memory, and so they
// are to a loop that is on epoll, or that is not the one where they were made.
//
// Where it pays: direct I/O (open_mode::direct). A read took 6 to 12 % less of the processor for
// 4 KiB, and a quarter less for 1 MiB (Linux 6.18, a virtual disk, 32 and 4 in flight). Not for
// what is in the page cache: the kernel copies that, and it took a little more.

#include <cerrno>
#include <cstddef>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

#include <sys/mman.h>

#include <rondo/detail/intrusive_ref.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/loop/backend.hpp>
#include <rondo/loop/closings.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/loop/event_loop.hpp>
#include <rondo/loop/ring_memory.hpp>

namespace rondo {

namespace detail {

/// The pages, and the index by which a loop's kernel knows them. Who needs them holds a reference;
/// an operation does until it has ended, so nothing is in flight when the last one goes.
class registered_memory : guest {
 public:
  using ref = intrusive_ref<registered_memory>;

  /// Throws: std::bad_alloc.
  [[nodiscard]] static ref make(std::size_t size) { return ref(new registered_memory(size)); }

  registered_memory(const registered_memory&) = delete;
  registered_memory& operator=(const registered_memory&) = delete;

  [[nodiscard]] char* data() const noexcept { return static_cast<char*>(data_); }
  /// Negative: to that loop it is ordinary memory.
  [[nodiscard]] int index_on(const engine& loop) const noexcept {
    return &loop == loop_ ? index_ : -1;
  }
  /// Makes it known to a loop. 0 or a negative errno.
  [[nodiscard]] int join(engine& loop) noexcept {
    index_ = loop.memory().add_registered(data_, size_);
    if (index_ == -EOPNOTSUPP) return 0;  // it is on epoll
    if (index_ < 0) return index_;
    loop_ = &loop;
    loop.admit(*this);
    return 0;
  }

 private:
  friend ref;

  explicit registered_memory(std::size_t size) : guest(&registered_memory::heard), size_(size) {
    data_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~registered_memory() {
    if (loop_ != nullptr) {
      loop_->memory().remove_registered(index_);
      unlink();
    }
    ::munmap(data_, size_);
  }
  static void heard(guest& self, news what, int) noexcept {
    if (what == news::loop_ends) static_cast<registered_memory&>(self).loop_ = nullptr;
  }

  void* data_;
  std::size_t size_;
  engine* loop_ = nullptr;  // that knows it
  int index_ = -1;
  unsigned refs_ = 1;
};

}  // namespace detail

/// One of registered_buffers, or a part of it: a view that keeps the memory. Copies are cheap.
class registered_buffer : public mutable_buffer {
 public:
  registered_buffer(const registered_buffer&) noexcept = default;
  registered_buffer& operator=(const registered_buffer&) noexcept = default;
  ~registered_buffer() = default;

  [[nodiscard]] char* data() const noexcept { return static_cast<char*>(mutable_buffer::data()); }

  /// A part of it. Throws: std::out_of_range, when it is not as large.
  [[nodiscard]] registered_buffer first(std::size_t count) const { return part(0, count); }
  [[nodiscard]] registered_buffer after(std::size_t count) const {
    if (count > size()) too_small();
    return part(count, size() - count);
  }

  /// For operations.
  [[nodiscard]] const detail::registered_memory::ref& memory() const noexcept { return memory_; }

 private:
  friend class registered_buffers;
  registered_buffer(detail::registered_memory::ref memory, char* data, std::size_t size) noexcept
      : mutable_buffer(data, size), memory_(std::move(memory)) {}

  [[nodiscard]] registered_buffer part(std::size_t from, std::size_t count) const {
    if (count > size()) too_small();
    return {memory_, data() + from, count};
  }
  [[noreturn, gnu::cold]] static void too_small() {
    throw std::out_of_range("registered_buffer: a part that is larger than the buffer");
  }

  detail::registered_memory::ref memory_;
};

/// Movable. What is in flight, and each registered_buffer, keeps the memory when this goes.
/// Thread: that of the loop where they are made.
class registered_buffers {
 public:
  /// The most in one object, and how many objects a loop can have at once.
  static constexpr std::size_t max_bytes = std::size_t{1} << 30;
  static constexpr std::size_t max_objects = detail::ring_memory::slots;

  /// Registers them with the running loop, which takes a system call and makes all of the memory:
  /// to be done once, not for each operation. count: of buffers; size: of each, in bytes. They lie
  /// one behind the other, the first at the begin of a page: of a size that is a multiple of 4096,
  /// all are fit for direct I/O. The kernel counts them against the user's limit on locked memory.
  /// Throws: std::invalid_argument; std::logic_error outside a running loop; std::bad_alloc;
  /// std::system_error, with ENOMEM when the limit on locked memory is too low.
  registered_buffers(std::size_t count, std::size_t size);

  registered_buffers(registered_buffers&& other) noexcept
      : memory_(std::move(other.memory_)),
        count_(std::exchange(other.count_, 0)),
        size_(other.size_) {}
  registered_buffers& operator=(registered_buffers&& other) noexcept {
    memory_ = std::move(other.memory_);
    count_ = std::exchange(other.count_, 0);
    size_ = other.size_;
    return *this;
  }
  ~registered_buffers() = default;

  /// How many; 0 when it was moved from.
  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  /// Of each, in bytes.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Throws: std::out_of_range.
  [[nodiscard]] registered_buffer operator[](std::size_t index) const {
    if (index >= count_) [[unlikely]] {
      throw std::out_of_range("registered_buffers: there is no buffer " + std::to_string(index));
    }
    return {memory_, memory_->data() + index * size_, size_};
  }

 private:
  [[nodiscard]] static std::size_t in_all(std::size_t count, std::size_t size);
  [[noreturn, gnu::cold]] void raise(int error) const;

  detail::registered_memory::ref memory_;
  std::size_t count_;
  std::size_t size_;
};

// Implementation

inline registered_buffers::registered_buffers(std::size_t count, std::size_t size)
    : memory_(detail::registered_memory::make(in_all(count, size))),
      count_(count),
      size_(size) {
  if (const int error = memory_->join(event_loop::current()); error < 0) raise(-error);
}

inline std::size_t registered_buffers::in_all(std::size_t count, std::size_t size) {
  if (count == 0 || size == 0) {
    throw std::invalid_argument("registered_buffers: there must be one, and a byte in each");
  }
  if (size > max_bytes || count > max_bytes / size) {
    throw std::invalid_argument("registered_buffers: more than 1 GiB in all; make several");
  }
  return count * size;
}

inline void registered_buffers::raise(int error) const {
  std::string text = "registered_buffers: ";
  if (error == ENOMEM) {
    text += "no memory for " + std::to_string(count_);
    text += " of " + std::to_string(size_) + " bytes: ";
    text += detail::locked_memory_advice;
    text += " or ask for less";
  } else if (error == ENOSPC) {
    text += "the loop has " + std::to_string(max_objects) + " of them; put more buffers in each";
  } else {
    text += "io_uring_register failed";
  }
  throw std::system_error(error, std::generic_category(), text);
}

}  // namespace rondo
