// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The memory of the soft ring: the two queues, laid out so that liburing's inline functions work on
// them, and the answers that found no room.
//
// No answer is lost. An entry is only taken while there is room for its answers and some to spare;
// whatever else ends finds that room or keeps its answer in its soft_entry, in a list, until there
// is. IORING_SQ_CQ_OVERFLOW says so, as in the kernel.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include <rondo/detail/intrusive_list.hpp>
#include <rondo/loop/liburing.hpp>
#include <rondo/loop/opcodes.hpp>
#include <rondo/loop/soft_entry.hpp>

namespace rondo::detail {

class soft_queues {
 public:
  /// `queues` stays where it is. Throws: std::bad_alloc.
  soft_queues(io_uring& queues, unsigned entries) : queues_(queues) {
    entries = std::bit_ceil(entries);
    queues_ = io_uring{};
    queues_.ring_fd = queues_.enter_ring_fd = -1;
    io_uring_sq& sq = queues_.sq;
    sqes_.reset(zeros<io_uring_sqe>(entries));
    sq.sqes = sqes_.get();
    sq.khead = &sq_head_;
    sq.ktail = &sq.sqe_tail;
    sq.kflags = &sq_flags_;
    sq.ring_mask = entries - 1;
    sq.ring_entries = entries;
    sq.kring_mask = &sq.ring_mask;
    sq.kring_entries = &sq.ring_entries;
    io_uring_cq& cq = queues_.cq;
    cqes_.reset(zeros<io_uring_cqe>(std::size_t{entries} * 16));
    cq.cqes = cqes_.get();
    cq.khead = &cq_head_;
    cq.ktail = &cq_tail_;
    cq.ring_mask = entries * 16 - 1;
    cq.ring_entries = entries * 16;
    cq.kring_mask = &cq.ring_mask;
    cq.kring_entries = &cq.ring_entries;
  }
  soft_queues(const soft_queues&) = delete;
  soft_queues& operator=(const soft_queues&) = delete;
  ~soft_queues() = default;

  /// The oldest entry that was not taken. Null when there is none, or no room for its answers.
  [[nodiscard]] const io_uring_sqe* next() const noexcept {
    const bool some = sq_head_ != queues_.sq.sqe_tail && room();
    return some ? &queues_.sq.sqes[sq_head_ & queues_.sq.ring_mask] : nullptr;
  }
  void taken() noexcept { ++sq_head_; }

  /// Whether there is room for what ends, so that the entry that is being served has its own left.
  [[nodiscard]] bool room() const noexcept { return answered_.empty() && places_left(); }
  [[nodiscard]] bool has_answers() const noexcept { return cq_tail_ != cq_head_; }

  /// One answer, where there is room.
  void post(std::uint64_t user_data, int result, std::uint32_t flags) noexcept {
    io_uring_cqe& c = queues_.cq.cqes[cq_tail_ & queues_.cq.ring_mask];
    c.user_data = user_data;
    c.res = result;
    c.flags = flags;
    ++cq_tail_;
  }
  /// The last answer to what was asked, where there is room. A zero-copy send has one more: that
  /// its buffer is free, at once, because it was copied.
  void post_last(const io_uring_sqe& e, int result, std::uint32_t flags) noexcept {
    if (e.opcode != IORING_OP_SEND_ZC && e.opcode != IORING_OP_SENDMSG_ZC) {
      return post(e.user_data, result, flags);
    }
    constexpr unsigned copied = 1U << 31;  // IORING_NOTIF_USAGE_ZC_COPIED
    const bool report = (e.ioprio & opcode::report_usage) != 0;
    post(e.user_data, result, flags | IORING_CQE_F_MORE);
    post(e.user_data, report ? static_cast<int>(copied) : 0, IORING_CQE_F_NOTIF);
  }

  /// The entry, which is in no list, has ended: answers it now or when there is room.
  void answer(soft_entries& entries, soft_entry& s, int result, std::uint32_t flags) noexcept {
    entries.forget(s);
    if (room()) {
      post_last(s.ask, result, flags);
      entries.give_back(s);
      return;
    }
    s.at = soft_entry::place::answered;
    s.result = result;
    s.result_flags = flags;
    answered_.push_back(s);
    sq_flags_ |= IORING_SQ_CQ_OVERFLOW;
  }
  /// Fills the completion queue with what had no room.
  void catch_up(soft_entries& entries) noexcept {
    while (!answered_.empty() && places_left()) {
      soft_entry& s = answered_.pop_front();
      post_last(s.ask, s.result, s.result_flags);
      entries.give_back(s);
    }
    if (answered_.empty()) sq_flags_ &= ~unsigned{IORING_SQ_CQ_OVERFLOW};
  }

  /// Nobody asks any more.
  void drop_answers() noexcept {
    while (!answered_.empty()) answered_.pop_front();
  }

  /// IORING_SQ_TASKRUN: only entering brings the answers that will come.
  void set_pending(bool something) noexcept {
    const unsigned others = sq_flags_ & ~unsigned{IORING_SQ_TASKRUN};
    sq_flags_ = others | (something ? unsigned{IORING_SQ_TASKRUN} : 0U);
  }

 private:
  static constexpr unsigned most_answers = 2;  // to one entry
  [[nodiscard]] bool places_left() const noexcept {
    return cq_tail_ - cq_head_ + 2 * most_answers <= queues_.cq.ring_entries;
  }

  struct freed {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };
  /// Pages that are never used are never there.
  template <typename T>
  static T* zeros(std::size_t count) {
    void* const memory = std::calloc(count, sizeof(T));
    if (memory == nullptr) throw std::bad_alloc();
    return static_cast<T*>(memory);
  }

  io_uring& queues_;
  unsigned sq_head_ = 0;
  unsigned sq_flags_ = 0;
  unsigned cq_head_ = 0;
  unsigned cq_tail_ = 0;
  std::unique_ptr<io_uring_sqe, freed> sqes_;
  std::unique_ptr<io_uring_cqe, freed> cqes_;
  intrusive_list<soft_entry> answered_;
};

}  // namespace rondo::detail
