// SPDX-License-Identifier: BSL-1.0
#pragma once

// Buffers that a ring takes from when something was received: nobody holds one before.

#include <cstddef>
#include <cstdint>

#include "raw_ring.hpp"

namespace hand {

template <unsigned Count, std::size_t Size>
class raw_buffers {
 public:
  explicit raw_buffers(raw_ring& ring) {
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory_);
    registration.ring_entries = Count;
    bench::check(io_uring_register_buf_ring(ring.get(), &registration, 0) == 0, "buffers");
    io_uring_buf_ring_init(buffers_);
    for (unsigned id = 0; id < Count; ++id) give_back(id);
  }
  raw_buffers(const raw_buffers&) = delete;
  raw_buffers& operator=(const raw_buffers&) = delete;

  /// Makes it a receive that goes on, of `fd` into these.
  static void receive(io_uring_sqe* entry, int fd) {
    io_uring_prep_recv_multishot(entry, fd, nullptr, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = 0;
  }

  static unsigned id(const io_uring_cqe& cqe) { return cqe.flags >> IORING_CQE_BUFFER_SHIFT; }
  std::byte* operator[](unsigned id) noexcept { return space_[id]; }

  void give_back(unsigned id) {
    io_uring_buf_ring_add(buffers_, space_[id], Size, static_cast<unsigned short>(id),
                          io_uring_buf_ring_mask(Count), 0);
    io_uring_buf_ring_advance(buffers_, 1);
  }

 private:
  alignas(4096) std::byte space_[Count][Size];
  alignas(4096) std::byte memory_[Count * sizeof(io_uring_buf)];
  io_uring_buf_ring* buffers_ = reinterpret_cast<io_uring_buf_ring*>(memory_);
};

}  // namespace hand
