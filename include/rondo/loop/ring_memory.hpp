// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What a ring was told of: memory of the program, and files.
//
//   buffers      that receiving chooses from, by the number of their group (io/buffer_group.hpp)
//   registered   memory whose pages the kernel keeps in their place (io/registered_buffers.hpp), and
//                files that it holds (io/registered_file.hpp), so that an operation that names them
//                by an index need not look for them. The kernel's ring has one table of each, which
//                cannot grow; it is made, empty, when something is registered first (8 to 16 KB in
//                the kernel), and its slots are filled and emptied one by one (Linux 5.19). To the
//                soft ring all memory and all files are the same.

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
    const int slot = empty_slot(memory_, &io_uring_register_buffers_sparse);
    return slot < 0 ? slot : filled(memory_, slot, put(slot, iovec{data, size}));
  }
  /// The same for a file, which the kernel holds until it is removed.
  [[nodiscard]] int add_file(int fd) noexcept {
    const int slot = empty_slot(files_, &io_uring_register_files_sparse);
    return slot < 0 ? slot : filled(files_, slot, put(slot, fd));
  }
  /// Nothing in flight names it. A slot that the kernel has no memory to empty is emptied when it is
  /// filled again.
  void remove_registered(int index) noexcept {
    put(index, iovec{nullptr, 0});
    memory_.used.reset(static_cast<unsigned>(index));
  }
  /// What is in flight on it keeps the file.
  void remove_file(int index) noexcept {
    put(index, -1);
    files_.used.reset(static_cast<unsigned>(index));
  }

 private:
  struct table {
    bool made = false;
    std::bitset<slots> used;
  };

  [[nodiscard]] int empty_slot(table& t, int (*make)(io_uring*, unsigned)) noexcept {
    if (soft_ != nullptr) return -EOPNOTSUPP;
    if (!t.made) {
      const int error = make(&kernel_, slots);
      if (error < 0) return error;
      t.made = true;
    }
    unsigned slot = 0;
    while (slot < slots && t.used[slot]) ++slot;
    return slot == slots ? -ENOSPC : static_cast<int>(slot);
  }
  static int filled(table& t, int slot, int result) noexcept {
    if (result < 0) return result;
    t.used.set(static_cast<unsigned>(slot));
    return slot;
  }
  int put(int slot, const iovec& memory) noexcept {
    return io_uring_register_buffers_update_tag(&kernel_, static_cast<unsigned>(slot), &memory,
                                                nullptr, 1);
  }
  int put(int slot, int fd) noexcept {
    return io_uring_register_files_update(&kernel_, static_cast<unsigned>(slot), &fd, 1);
  }

  [[nodiscard]] int add_group(std::uint16_t group, io_uring_buf_ring* buffers,
                              std::uint16_t entries) noexcept {
    if (soft_ != nullptr) return soft_->add_buffers(group, buffers, entries);
    io_uring_buf_reg description{};
    description.ring_addr = reinterpret_cast<std::uintptr_t>(buffers);
    description.ring_entries = entries;
    description.bgid = group;
    return io_uring_register_buf_ring(&kernel_, &description, 0);
  }

  io_uring& kernel_;
  soft_ring* soft_ = nullptr;  // serves in its place
  std::uint16_t next_group_ = 0;
  table memory_;
  table files_;
};

}  // namespace rondo::detail
