// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Buffers that the ring chooses from when something has arrived: the same io_uring_buf_ring in the
// program's memory that the kernel would read, by group. The program adds at the tail
// (io_uring_buf_ring_add and _advance); the soft ring takes from its own head.

#include <cerrno>
#include <cstdint>
#include <new>
#include <poll.h>
#include <vector>

#include <rondo/loop/liburing.hpp>
#include <rondo/loop/soft_entry.hpp>
#include <rondo/loop/soft_streams.hpp>

namespace rondo::detail {

class soft_buffers {
 public:
  class group {
   public:
    group(std::uint16_t id, io_uring_buf_ring* ring, std::uint16_t entries) noexcept
        : id_(id), mask_(static_cast<std::uint16_t>(entries - 1)), ring_(ring) {}

    [[nodiscard]] std::uint16_t id() const noexcept { return id_; }

    /// The next buffer, which stays until it is taken; null if there is none.
    [[nodiscard]] const io_uring_buf* next() const noexcept {
      const std::uint16_t tail = __atomic_load_n(&ring_->tail, __ATOMIC_ACQUIRE);
      return head_ != tail ? entries_of(ring_) + (head_ & mask_) : nullptr;
    }
    void take() noexcept { ++head_; }

   private:
    std::uint16_t id_;
    std::uint16_t mask_;
    std::uint16_t head_ = 0;
    io_uring_buf_ring* ring_;
  };

  /// 0 or a negative errno, as from io_uring_register_buf_ring.
  [[nodiscard]] int add(std::uint16_t id, io_uring_buf_ring* ring, std::uint16_t entries) noexcept {
    if (entries == 0 || (entries & (entries - 1)) != 0 || entries > 32768) return -EINVAL;
    if (find(id) != nullptr) return -EEXIST;
    try {
      groups_.emplace_back(id, ring, entries);
    } catch (const std::bad_alloc&) {
      return -ENOMEM;
    }
    return 0;
  }
  [[nodiscard]] int remove(std::uint16_t id) noexcept {
    group* const g = find(id);
    if (g == nullptr) return -EINVAL;
    *g = groups_.back();
    groups_.pop_back();
    return 0;
  }
  [[nodiscard]] group* find(std::uint16_t id) noexcept {
    for (group& g : groups_) {
      if (g.id() == id) return &g;
    }
    return nullptr;
  }

  /// A RECV or RECVMSG that chooses its buffer, as soft::try_recv. As the kernel: without a buffer it ends, also
  /// if nothing has come, unless it is to poll first; one into which nothing went stays.
  int receive(const io_uring_sqe& e, soft_progress& p) noexcept;

 private:
  std::vector<group> groups_;  // few
};

// Implementation

inline int soft_buffers::receive(const io_uring_sqe& e, soft_progress& p) noexcept {
  p.flags = 0;
  p.done = 0;
  group* const from = find(e.buf_group);
  const io_uring_buf* const buffer = from != nullptr ? from->next() : nullptr;
  if (buffer == nullptr) {
    const bool polls_first = (e.ioprio & IORING_RECVSEND_POLL_FIRST) != 0;
    return polls_first && !soft::is_ready(e.fd, POLLIN) ? soft::must_wait : -ENOBUFS;
  }
  io_uring_sqe filled = e;
  filled.addr = buffer->addr;
  filled.len = e.len == 0 || e.len > buffer->len ? buffer->len : e.len;
  filled.ioprio &= static_cast<std::uint16_t>(~IORING_RECV_MULTISHOT);
  const int n = e.opcode == IORING_OP_RECV
                    ? soft::try_recv(filled, p)
                    : soft::try_recvmsg_into(e, soft::pointer<char>(buffer->addr), buffer->len);
  if (n > 0) {
    p.flags = IORING_CQE_F_BUFFER | (static_cast<std::uint32_t>(buffer->bid)
                                     << IORING_CQE_BUFFER_SHIFT);
    from->take();
  }
  return n;
}

}  // namespace rondo::detail
