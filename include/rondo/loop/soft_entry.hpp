// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// An entry that the soft ring has accepted and not answered yet, and where these come from.
//
// The ring keeps a copy of what was asked, because the place in the submission queue is used again.
// An entry is in one list at a time:
//
//   waiting     on its descriptor, for readiness (loop/soft_waits.hpp)
//   working     a thread of the pool runs the system call, or will
//   closing     until no thread uses a descriptor, which is to be closed then
//   answered    no room was in the completion queue; the answer is kept here, so none is ever lost
//
// Entries come from a free list, in blocks that live as long as the ring, so an operation allocates
// nothing once there have been as many in flight.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include <rondo/detail/intrusive_list.hpp>
#include <rondo/loop/liburing.hpp>
#include <rondo/loop/thread_pool.hpp>

namespace rondo::detail {

/// How far an entry has come, and what is known about its descriptor.
struct soft_progress {
  std::uint32_t done = 0;    // bytes that have gone already (MSG_WAITALL, a read in two parts)
  std::uint32_t flags = 0;   // for the completion
  bool ready = false;        // epoll has reported the descriptor since the last try
  bool is_stream = false;    // epoll knows the descriptor, so it is no regular file
  bool came_short = false;   // a receive took less than it might have: nothing was left
};

class soft_finished;

struct soft_entry : list_hook, thread_pool::job {
  enum class place : std::uint8_t { waiting, working, closing, answered };

  soft_entry() noexcept : job(nullptr) {}

  soft_progress progress;
  place at = place::waiting;
  int fd = -1;           // on which it waits
  bool owns_fd = false;  // made for the waiting (a pidfd), and closed after it
  std::atomic<bool> interrupted{false};  // a thread that works on it is to give up
  int result = 0;
  std::uint32_t result_flags = 0;
  soft_entry* next_in_bucket = nullptr;
  soft_finished* finished = nullptr;  // where the thread puts it
  soft_entry* next_finished = nullptr;

  struct copy : io_uring_sqe {};  // as a member, GCC minds the array of no length at its end
  copy ask{};
};

/// Those that are free, and those in use by their user_data.
class soft_entries {
 public:
  soft_entries() = default;
  soft_entries(const soft_entries&) = delete;
  soft_entries& operator=(const soft_entries&) = delete;

  /// Null when there is no memory.
  [[nodiscard]] soft_entry* take(const io_uring_sqe& ask, const soft_progress& so_far) noexcept {
    if (free_ == nullptr && !grow()) return nullptr;
    soft_entry& s = *free_;
    free_ = s.next_in_bucket;
    static_cast<io_uring_sqe&>(s.ask) = ask;
    s.progress = so_far;
    s.fd = ask.fd;
    s.owns_fd = false;
    s.interrupted.store(false, std::memory_order_relaxed);
    soft_entry*& bucket = bucket_of(ask.user_data);
    s.next_in_bucket = bucket;
    bucket = &s;
    ++used_;
    return &s;
  }

  /// It has been answered: nobody finds it any more.
  void forget(soft_entry& s) noexcept {
    soft_entry** at = &bucket_of(s.ask.user_data);
    while (*at != &s) at = &(*at)->next_in_bucket;
    *at = s.next_in_bucket;
    --used_;
  }
  void give_back(soft_entry& s) noexcept {
    s.next_in_bucket = free_;
    free_ = &s;
  }

  [[nodiscard]] std::size_t used() const noexcept { return used_; }

  /// The first with this user_data that `right` accepts; null if there is none.
  template <typename Predicate>
  [[nodiscard]] soft_entry* find(std::uint64_t user_data, Predicate right) noexcept {
    soft_entry* s = bucket_of(user_data);
    while (s != nullptr && !(s->ask.user_data == user_data && right(*s))) s = s->next_in_bucket;
    return s;
  }

 private:
  static constexpr std::size_t block_size = 64;
  using block = std::array<soft_entry, block_size>;

  [[gnu::noinline]] bool grow() noexcept {
    try {
      blocks_.push_back(std::make_unique<block>());
    } catch (const std::bad_alloc&) {
      return false;
    }
    for (soft_entry& s : *blocks_.back()) give_back(s);
    if (blocks_.size() * block_size > buckets_.size()) spread();
    return true;
  }

  /// More buckets; without memory for them the chains get longer.
  [[gnu::cold, gnu::noinline]] void spread() noexcept {
    std::vector<soft_entry*> wider;
    try {
      wider.resize(buckets_.size() * 2);
    } catch (const std::bad_alloc&) {
      return;
    }
    buckets_.swap(wider);
    for (soft_entry* chain : wider) {
      while (chain != nullptr) {
        soft_entry* const next = chain->next_in_bucket;
        soft_entry*& bucket = bucket_of(chain->ask.user_data);
        chain->next_in_bucket = bucket;
        bucket = chain;
        chain = next;
      }
    }
  }

  /// user_data is mostly an address: its high bits are alike, and so are the lowest.
  [[nodiscard]] soft_entry*& bucket_of(std::uint64_t user_data) noexcept {
    const std::uint64_t mixed = (user_data >> 3) * 0x9e3779b97f4a7c15U;
    return buckets_[static_cast<std::size_t>(mixed >> 32) & (buckets_.size() - 1)];
  }

  std::vector<std::unique_ptr<block>> blocks_;
  std::vector<soft_entry*> buckets_ = std::vector<soft_entry*>(block_size);
  soft_entry* free_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace rondo::detail
