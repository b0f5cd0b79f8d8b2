// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Memory that the kernel's ring knows: it keeps the pages in their place, so that an operation that
// names the memory by its index need not look for them. A ring has one table of such memory, which
// cannot grow. It is made, empty, when something is registered first (4 to 8 KB in the kernel);
// then its slots are filled and emptied one by one.

#include <bitset>
#include <cerrno>
#include <cstddef>
#include <sys/uio.h>

#include <rondo/loop/liburing.hpp>

namespace rondo::detail {

class registered_slots {
 public:
  static constexpr unsigned count = 512;

  /// Gives an index or a negative errno: ENOSPC when all slots are taken.
  [[nodiscard]] int add(io_uring& kernel, void* data, std::size_t size) noexcept {
    if (!made_) {
      const int error = io_uring_register_buffers_sparse(&kernel, count);
      if (error < 0) return error;
      made_ = true;
    }
    unsigned slot = 0;
    while (slot < count && used_[slot]) ++slot;
    if (slot == count) return -ENOSPC;
    const int result = put(kernel, slot, {data, size});
    if (result < 0) return result;
    used_.set(slot);
    return static_cast<int>(slot);
  }

  /// A slot that the kernel has no memory to empty is emptied when it is filled again.
  void remove(io_uring& kernel, int index) noexcept {
    const auto slot = static_cast<unsigned>(index);
    put(kernel, slot, {nullptr, 0});
    used_.reset(slot);
  }

 private:
  static int put(io_uring& kernel, unsigned slot, const iovec& memory) noexcept {
    return io_uring_register_buffers_update_tag(&kernel, slot, &memory, nullptr, 1);
  }

  std::bitset<count> used_;
  bool made_ = false;
};

}  // namespace rondo::detail
