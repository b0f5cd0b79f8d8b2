// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What is behind a buffer_ring (io/buffer_ring.hpp): its memory, which buffers are out, and the
// streams that wait for one.
//
// Linux 5.19 knows rings of buffers: an array of addresses in the program's memory, at whose tail
// the program adds what is free, and from whose head the kernel takes. The soft ring reads the same
// array.
//
// A stream that found none waits in a list. For each buffer that comes back one stream goes on, and
// it passes the chance on if it does not use it: so while a buffer is free and a stream waits, some
// stream is about to go on.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>

#include <sys/mman.h>
#include <unistd.h>

#include <rondo/detail/intrusive_ref.hpp>
#include <rondo/loop/closings.hpp>
#include <rondo/loop/engine.hpp>
#include <rondo/loop/in_flight.hpp>
#include <rondo/loop/liburing.hpp>

namespace rondo::detail {

class buffer_group;
/// Shared by the buffer_ring, by streams and by chunks, all on one thread.
using buffer_group_ref = intrusive_ref<buffer_group>;

class buffer_group : guest {
 public:
  struct slot {
    buffer_group* group = nullptr;
    std::uint32_t received = 0;
    std::uint16_t next = 0;
    bool out = false;
  };

  /// Throws: std::invalid_argument, std::bad_alloc.
  [[nodiscard]] static buffer_group_ref make(std::size_t count, std::size_t size);

  buffer_group(const buffer_group&) = delete;
  buffer_group& operator=(const buffer_group&) = delete;

  [[nodiscard]] std::size_t count() const noexcept { return static_cast<std::size_t>(mask_) + 1; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t available() const noexcept { return available_; }
  /// How many one stream keeps before it lets the others have some.
  [[nodiscard]] std::size_t fair_share() const noexcept { return (count() + 3) / 4; }

  [[nodiscard]] char* data(std::uint16_t id) noexcept { return buffers_ + id * size_; }
  [[nodiscard]] char* data(const slot& s) noexcept { return data(id_of(s)); }
  /// One that the kernel has taken, for somebody who keeps the group alive.
  [[nodiscard]] slot& at(std::uint16_t id) noexcept { return slots_[id]; }
  [[nodiscard]] std::uint16_t id_of(const slot& s) const noexcept {
    return static_cast<std::uint16_t>(&s - slots_.get());
  }

  /// Makes the buffers known to a loop, if they are not. 0 or a negative errno: EBUSY, if they are
  /// another loop's.
  [[nodiscard]] int join(engine& loop) noexcept;
  /// The number by which that loop knows them.
  [[nodiscard]] std::uint16_t id() const noexcept { return static_cast<std::uint16_t>(id_); }

  /// The kernel has taken a buffer.
  void take(std::uint16_t id, std::size_t received) noexcept {
    slots_[id].received = static_cast<std::uint32_t>(received);
    slots_[id].out = true;
    --available_;
  }
  void give_back(std::uint16_t id) noexcept {
    slots_[id].out = false;
    ++available_;
    if (loop_ != nullptr) {
      put(id, 0);
      io_uring_buf_ring_advance(ring_, 1);
    }
    wake_one();
  }

  /// Buffers that a stream keeps, in order.
  void link(std::uint16_t id, std::uint16_t next) noexcept { slots_[id].next = next; }
  [[nodiscard]] std::uint16_t after(std::uint16_t id) const noexcept { return slots_[id].next; }

  void park(in_flight& stream) noexcept { parked_.push_back(stream); }
  /// Lets the first of those who wait go on, if there may be a buffer for it.
  void wake_one() noexcept {
    if (available_ == 0 || parked_.empty()) return;
    parked_.pop_front().go_on();
  }

 private:
  friend buffer_group_ref;

  buffer_group(std::size_t count, std::size_t size);
  ~buffer_group() {
    if (loop_ != nullptr) {
      loop_->memory().remove_buffers(id_);
      unlink();
    }
    ::munmap(memory_, mapped_);
  }

  /// Puts one `behind` those that the kernel was told of; it is told later.
  void put(std::uint16_t id, int behind) noexcept {
    const auto place = static_cast<unsigned>(ring_->tail + behind) & static_cast<unsigned>(mask_);
    io_uring_buf& entry = entries_of(ring_)[place];
    entry.addr = reinterpret_cast<std::uintptr_t>(data(id));
    entry.len = static_cast<std::uint32_t>(size_);
    entry.bid = id;
  }
  static void heard(guest& self, news what, int) noexcept {
    if (what == news::loop_ends) static_cast<buffer_group&>(self).loop_ = nullptr;
  }

  int mask_;
  std::size_t size_;
  std::size_t available_;
  std::unique_ptr<slot[]> slots_;
  std::size_t mapped_ = 0;
  void* memory_ = nullptr;
  io_uring_buf_ring* ring_ = nullptr;  // at its begin
  char* buffers_ = nullptr;
  engine* loop_ = nullptr;  // that knows them
  int id_ = -1;
  unsigned refs_ = 1;
  intrusive_list<in_flight> parked_;
};

// Implementation

inline buffer_group_ref buffer_group::make(std::size_t count, std::size_t size) {
  if (count == 0 || count > 32768) {
    throw std::invalid_argument("buffer_ring: the count must be 1 to 32768");
  }
  if (size == 0 || size > (std::size_t{1} << 30)) {
    throw std::invalid_argument("buffer_ring: the size must be 1 byte to 1 GiB");
  }
  return buffer_group_ref(new buffer_group(std::bit_ceil(count), size));
}

inline buffer_group::buffer_group(std::size_t count, std::size_t size)
    : guest(&buffer_group::heard),
      mask_(static_cast<int>(count - 1)),
      size_(size),
      available_(count),
      slots_(new slot[count]) {
  for (std::size_t i = 0; i < count; ++i) slots_[i].group = this;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t ring = (count * sizeof(io_uring_buf) + page - 1) / page * page;
  mapped_ = ring + count * size;
  memory_ = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory_ == MAP_FAILED) throw std::bad_alloc();
  ring_ = static_cast<io_uring_buf_ring*>(memory_);
  buffers_ = static_cast<char*>(memory_) + ring;
}

inline int buffer_group::join(engine& loop) noexcept {
  if (loop_ == &loop) return 0;
  if (loop_ != nullptr) return -EBUSY;
  io_uring_buf_ring_init(ring_);
  int free = 0;
  for (int i = 0; i <= mask_; ++i) {
    const auto id = static_cast<std::uint16_t>(i);
    if (!slots_[id].out) put(id, free++);
  }
  io_uring_buf_ring_advance(ring_, free);
  id_ = loop.memory().add_buffers(ring_, static_cast<std::uint16_t>(mask_ + 1));
  if (id_ < 0) return id_;
  loop_ = &loop;
  loop.admit(*this);
  return 0;
}

}  // namespace rondo::detail
