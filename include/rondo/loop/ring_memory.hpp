// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Memory of the program that a ring was told of.
//
//   buffers      that receiving chooses from, by the number of their group (io/buffer_group.hpp)
//   registered   whose pages the kernel keeps in their place, so that an operation that names it by
//                its index need not look for them (io/registered_buffers.hpp). The kernel's ring has
//                one table of it, which cannot grow; it is made, empty, when something is
//                registered first (8 to 16 KB in the kernel), and its slots are filled and emptied
//                one by one (Linux 5.19). To the soft ring all memory is the same.

#include <bitset>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <sys/uio.h>

#include <rondo/loop/liburing.hpp>
#include <rondo/loop/soft_ring.hpp>

namespace rondo::detail {

class ring_memory {
 public:
  /// How much can be registered at once.
  static constexpr unsigned slots = 512;

  explicit ring_memory(io_uring& kernel) noexcept : kernel_(kernel) {}
  void be_served_by(soft_ring& soft) noexcept { soft_ = &soft; }

  /// Gives the group, or a negative errno.
  [[nodiscard]] int add_buffers(io_uring_buf_ring* buffers, std::uint16_t entries) noexcept {
    for (unsigned attempt = 0; attempt <= 0xffff; ++attempt) {
      const std::uint16_t group = next_group_++;
      const int result = add_group(group, buffers, entries);
      if (result != -EEXIST) return result < 0 ? result : group;
    }
    return -ENOSPC;
  }
  /// Nothing in flight chooses from them.
  void remove_buffers(int group) noexcept {
    if (soft_ != nullptr) {
      soft_->remove_buffers(static_cast<std::uint16_t>(group));
    } else {
      io_uring_unregister_buf_ring(&kernel_, group);
    }
  }

  /// Gives the index or a negative errno: EOPNOTSUPP on epoll, ENOSPC when all slots are taken.
  [[nodiscard]] int add_registered(void* data, std::size_t size) noexcept {
    if (soft_ != nullptr) return -EOPNOTSUPP;
    if (!has_table_) {
      const int error = io_uring_register_buffers_sparse(&kernel_, slots);
      if (error < 0) return error;
      has_table_ = true;
    }
    unsigned slot = 0;
    while (slot < slots && used_[slot]) ++slot;
    if (slot == slots) return -ENOSPC;
    const int result = put(slot, {data, size});
    if (result < 0) return result;
    used_.set(slot);
    return static_cast<int>(slot);
  }
  /// Nothing in flight names it. A slot that the kernel has no memory to empty is emptied when it is
  /// filled again.
  void remove_registered(int index) noexcept {
    const auto slot = static_cast<unsigned>(index);
    put(slot, {nullptr, 0});
    used_.reset(slot);
  }

 private:
  [[nodiscard]] int add_group(std::uint16_t group, io_uring_buf_ring* buffers,
                              std::uint16_t entries) noexcept {
    if (soft_ != nullptr) return soft_->add_buffers(group, buffers, entries);
    io_uring_buf_reg description{};
    description.ring_addr = reinterpret_cast<std::uintptr_t>(buffers);
    description.ring_entries = entries;
    description.bgid = group;
    return io_uring_register_buf_ring(&kernel_, &description, 0);
  }
  int put(unsigned slot, const iovec& memory) noexcept {
    return io_uring_register_buffers_update_tag(&kernel_, slot, &memory, nullptr, 1);
  }

  io_uring& kernel_;
  soft_ring* soft_ = nullptr;  // serves in its place
  std::uint16_t next_group_ = 0;
  bool has_table_ = false;
  std::bitset<slots> used_;
};

}  // namespace rondo::detail
