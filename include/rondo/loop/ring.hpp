// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A ring: submission entries in, completions out. Everything above this file speaks that language
// and no other. `queues_` is liburing's view of the two queues; only `enter`, which hands entries
// over and waits for completions, knows who serves them:
//
//   the kernel        io_uring (loop/kernel_ring.hpp)
//   the soft ring     where io_uring is refused (loop/soft_ring.hpp)
//
// An opcode that is newer than the kernel goes to a soft ring of its own *beside* the kernel's,
// which is made when it is needed first. Its completions are reaped with the others, and the
// kernel's ring polls it, so that sleeping ends when it has some.

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>

#include <rondo/config.hpp>
#include <rondo/loop/backend.hpp>
#include <rondo/loop/in_flight.hpp>
#include <rondo/loop/interference.hpp>
#include <rondo/loop/kernel_ring.hpp>
#include <rondo/loop/liburing.hpp>
#include <rondo/loop/own_poll.hpp>
#include <rondo/loop/ring_memory.hpp>
#include <rondo/loop/soft_ring.hpp>
#include <rondo/loop/soft_work.hpp>

namespace rondo::detail {

class ring {
 public:
  /// Throws: std::system_error that says what to do; std::invalid_argument for a wrong environment.
  /// interference: null, unless this is a test.
  ring(unsigned entries, backend option, loop_threads& threads, interference* hindrance);
  ring(const ring&) = delete;
  ring& operator=(const ring&) = delete;
  ~ring() {
    // A forked child shares the descriptor but not the memory, which is marked DONTFORK.
    if (soft_ == nullptr && ::getpid() == owner_) give_up();
  }

  /// Once, on the thread that will use the ring from then on. Throws: std::system_error.
  void bind();

  /// A free entry, all zero, or null when the queue is full: submit then.
  [[nodiscard]] io_uring_sqe* reserve() noexcept { return cleared(next_entry()); }

  [[nodiscard]] bool has_unsubmitted() const noexcept {
    return queues_.sq.sqe_tail != __atomic_load_n(queues_.sq.khead, __ATOMIC_ACQUIRE) ||
           (beside_ != nullptr && beside_->has_unsubmitted());
  }

  /// Whether the kernel holds completions that only a call will bring (deferred work, overflow).
  [[nodiscard]] bool kernel_has_work() const noexcept {
    return kernel_flags() != 0 || (beside_ != nullptr && beside_->kernel_has_work()) ||
           (interference_ != nullptr && interference_->keeps_some());
  }

  /// An entry to fill. When the queue is full it is handed over first; null if the kernel refuses
  /// to take it (no memory).
  [[nodiscard, gnu::always_inline]] io_uring_sqe* reserve_or_make_room() noexcept {
    io_uring_sqe* const entry = next_entry();
    return cleared(entry != nullptr ? entry : make_room());
  }

  /// Hands all entries over and collects what has completed, in one system call. With `wait` it
  /// sleeps until there is a completion or `timeout` (relative; null: none) has passed. What the
  /// kernel did not take stays queued.
  void enter(bool wait, __kernel_timespec* timeout) noexcept {
    const int result = hand_over(wait, timeout);
    // What there may be in a healthy program: done, interrupted by a signal, time is up, or short of
    // memory or of room for completions, which the reaping that follows makes.
    if (result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN ||
        result == -EBUSY) {
      return;
    }
    fail("io_uring_enter failed on a ring that had worked before");
  }

  /// From now on there is a write to this eventfd when completions have come; to be called again
  /// after each enter. Gives 0 or a negative errno.
  int notify(int eventfd) noexcept;
  /// Whether there is work that neither that eventfd nor `pollable` will tell of: the kernel's from
  /// before it was asked to notify, and what a test keeps back.
  [[nodiscard]] bool has_silent_work() const noexcept {
    return (soft_ == nullptr && kernel_flags() != 0) ||
           (interference_ != nullptr && interference_->keeps_some());
  }
  /// Whether a thread of the soft ring was told to give up and has not yet: it has to be told again
  /// after such a pause, by entering the ring.
  [[nodiscard]] bool must_insist() const noexcept {
    return soft_ != nullptr ? soft_->must_insist() : beside_ != nullptr && beside_->must_insist();
  }
  [[nodiscard]] bool has_completions() const noexcept {
    return io_uring_cq_ready(&queues_) != 0 || (beside_ != nullptr && beside_->has_completions());
  }

  /// Tells each owner about its completions.
  [[gnu::always_inline]] void reap() noexcept {
    if (!is_plain_) [[unlikely]] return reap_with_others();
    take_completions(&ring::complete);
  }

  /// The ring beside the kernel's; made if need be. Null when there is no room for one.
  [[nodiscard]] ring* beside() noexcept;
  /// The same, if there is one already.
  [[nodiscard]] ring* beside_if_made() noexcept { return beside_.get(); }

  /// Whether an opcode is served: by the soft ring, or by this kernel.
  [[nodiscard]] bool knows(std::uint8_t opcode) const noexcept {
    return soft_ != nullptr || known_[opcode];
  }
  /// For tests: as if the kernel were older.
  void pretend_to_lack(std::uint8_t opcode) noexcept { known_.reset(opcode); }

  /// Whoever writes to this eventfd is to end sleeping. False: it must be polled for that.
  [[nodiscard]] bool wake_on(int eventfd) {
    if (soft_ == nullptr) return false;
    soft_->wake_on(eventfd);
    return true;
  }

  /// What it is told of, and forgets.
  [[nodiscard]] ring_memory& memory() noexcept { return memory_; }

  /// Before somebody else sleeps until `pollable` is readable.
  void be_polled() noexcept {
    if (soft_ != nullptr) soft_->be_polled();
  }
  /// A descriptor that is readable when the soft ring has something to do; -1 for the kernel's
  /// ring, whose own does not tell.
  [[nodiscard]] int pollable() const noexcept { return soft_ != nullptr ? soft_->pollable() : -1; }

  [[nodiscard]] backend which() const noexcept {
    return soft_ != nullptr ? backend::epoll : backend::io_uring;
  }
  [[nodiscard]] std::string_view description() const noexcept { return description_; }
  [[nodiscard]] std::uint64_t system_calls() const noexcept { return calls_; }

 private:
  [[nodiscard]] unsigned kernel_flags() const noexcept {
    return __atomic_load_n(queues_.sq.kflags, __ATOMIC_RELAXED) &
           (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
  }

  [[nodiscard, gnu::always_inline]] io_uring_sqe* next_entry() noexcept {
    io_uring_sq& sq = queues_.sq;
    if (sq.sqe_tail == limit_ && !find_room()) [[unlikely]] return nullptr;
    return &sq.sqes[sq.sqe_tail++ & sq.ring_mask];
  }
  /// What was handed over since somebody looked is room.
  [[gnu::noinline]] bool find_room() noexcept {
    const unsigned head = __atomic_load_n(queues_.sq.khead, __ATOMIC_ACQUIRE);
    if (queues_.sq.sqe_tail - head >= room_) return false;
    limit_ = head + room_;
    return true;
  }
  /// Newer liburings' prep functions leave the rest as an earlier use left it. Whoever is inlined
  /// behind this writes most of it once more, which compilers see.
  [[nodiscard, gnu::always_inline]] static io_uring_sqe* cleared(io_uring_sqe* entry) noexcept {
    if (entry != nullptr) [[likely]] *entry = io_uring_sqe{};
    return entry;
  }

  /// Those that are there by now, and their places are free.
  template <typename F>
  [[gnu::always_inline]] void take_completions(F take) noexcept {
    const io_uring_cq& cq = queues_.cq;
    const io_uring_cqe* const cqes = cq.cqes;
    const unsigned mask = cq.ring_mask;
    const unsigned end = __atomic_load_n(cq.ktail, __ATOMIC_ACQUIRE);
    for (unsigned head = *cq.khead; head != end; ++head) {
      const io_uring_cqe& cqe = cqes[head & mask];
      take(interference::answer{cqe.user_data, cqe.res, cqe.flags});
    }
    __atomic_store_n(cq.khead, end, __ATOMIC_RELEASE);
  }
  static void complete(const interference::answer& a) noexcept {
    if (a.user_data == 0) return;  // of a cancel request: what it canceled answers for itself
    auto& owner = *reinterpret_cast<in_flight*>(static_cast<std::uintptr_t>(a.user_data));
    owner.complete(a.result, a.flags);
  }

  [[gnu::always_inline]] int hand_over(bool wait, __kernel_timespec* timeout) noexcept {
    ++calls_;
    if (!is_plain_) [[unlikely]] return hand_over_with_others(wait, timeout);
    return enter_kernel(wait, timeout);
  }
  [[gnu::noinline]] int hand_over_with_others(bool wait, __kernel_timespec* timeout) noexcept {
    if (interference_ != nullptr) {
      if (const int refused = interfere(wait); refused < 0) return refused;
    }
    if (soft_ != nullptr) return soft_->enter(wait, timeout);
    __kernel_timespec until_insisting = insisting_pause;
    if (beside_ != nullptr) {
      wait = enter_beside() && wait;
      if (beside_->must_insist() && insists_before(timeout)) timeout = &until_insisting;
    }
    return enter_kernel(wait, timeout);
  }
  [[gnu::always_inline]] int enter_kernel(bool wait, __kernel_timespec* timeout) noexcept {
    if (!wait) return io_uring_submit_and_get_events(&queues_);
    if (timeout == nullptr) return io_uring_submit_and_wait(&queues_, 1);
    io_uring_cqe* first = nullptr;
    return io_uring_submit_and_wait_timeout(&queues_, &first, 1, timeout, nullptr);
  }
  [[gnu::noinline]] io_uring_sqe* make_room() noexcept {
    for (int attempt = 0; attempt < 100; ++attempt) {
      enter(false, nullptr);
      if (io_uring_sqe* const entry = next_entry()) return entry;
      reap();  // room for completions is what the kernel may be waiting for
    }
    return nullptr;
  }

  /// Before entries are handed over, in a test.
  int interfere(bool& wait) noexcept {
    const io_uring_sq& sq = queues_.sq;
    room_ = interference_->room(sq.ring_entries);
    limit_ = sq.sqe_tail;  // somebody has to look
    if (const int refused = interference_->refusal(); refused < 0) return refused;
    for (; changed_ != sq.sqe_tail; ++changed_) {
      interference_->handed_over(sq.sqes[changed_ & sq.ring_mask]);
    }
    if (interference_->keeps_some()) wait = false;
    return 0;
  }
  [[gnu::noinline]] void reap_with_others() noexcept {
    if (interference_ != nullptr) {
      take_completions([this](const interference::answer& a) { interference_->arrived(a); });
      interference_->begin_giving_out();
      for (interference::answer a{}; interference_->next(a);) complete(a);
    } else {
      take_completions(&ring::complete);
    }
    if (beside_ != nullptr) beside_->reap();
  }

  /// Before the kernel is entered: false if there are completions, so that it does not sleep.
  bool enter_beside() noexcept {
    beside_->enter(false, nullptr);
    if (!beside_->has_completions()) beside_->be_polled();
    if (beside_->has_completions()) return false;
    if (beside_poll_.armed()) return true;
    io_uring_sqe* const entry = reserve();
    if (entry == nullptr) return false;  // the next turn goes on
    beside_poll_.arm_once(*entry, beside_->pollable());
    return true;
  }
  /// The registration of the ring's descriptor is its thread's. liburing takes it back on whatever
  /// thread this is, by its number there, and since 2.4 that of another ring may be the one that the
  /// number stands for.
  void give_up() noexcept {
    if (::gettid() != thread_) queues_.int_flags = 0;  // of a thread that has ended, or keeps it
    io_uring_queue_exit(&queues_);
  }
  [[gnu::cold]] void become_soft(std::string_view reason) {
    soft_ = std::make_unique<soft_ring>(queues_, entries_, threads_);
    memory_.be_served_by(*soft_);
    room_ = queues_.sq.ring_entries;
    changed_ = limit_ = queues_.sq.sqe_tail;
    is_plain_ = false;
    description_ = "epoll: ";
    description_ += reason;
  }

  io_uring queues_{};
  unsigned limit_ = 0;     // there is room for the entries before this one, or somebody has to look
  unsigned room_ = 0;      // how many entries may wait to be handed over
  bool is_plain_;          // the kernel serves, it alone, and nobody interferes
  ring_memory memory_{queues_};
  std::unique_ptr<soft_ring> soft_;  // null: the kernel serves
  interference* interference_;       // null, unless this is a test
  unsigned changed_ = 0;             // the entries before this one were interfered with
  std::string description_;
  std::uint64_t calls_ = 0;
  kernel_ring::opcodes known_;
  loop_threads& threads_;
  unsigned entries_;
  backend wish_ = backend::automatic;
  std::unique_ptr<ring> beside_;  // soft
  own_poll beside_poll_;          // for the kernel's ring, of the one beside it
  std::uint64_t notified_after_ = ~std::uint64_t{0};  // so many calls
  pid_t owner_ = ::getpid();
  pid_t thread_ = 0;  // that uses it
};

// Implementation

inline ring::ring(unsigned entries, backend option, loop_threads& threads, interference* hindrance)
    : is_plain_(hindrance == nullptr),
      interference_(hindrance),
      threads_(threads),
      entries_(std::clamp(entries, 1U, 32768U)) {  // what the kernel can do (IORING_MAX_ENTRIES)
  const backend_wish wish = wished_backend(option);
  wish_ = wish.which;
  if (wish_ == backend::epoll) {
    become_soft(wish.whose);
    return;
  }
  description_.reserve(64);  // nothing may fail once the ring is there
  const char* flags = "";
  const bool few = interference_ != nullptr && interference_->few_completions();
  const unsigned answers = few ? entries_ : entries_ * 16;  // they come in bursts; overflowing is slow
  const ring_failure failure = kernel_ring::set_up(queues_, entries_, answers, flags, known_);
  if (failure.error == 0) {
    room_ = queues_.sq.ring_entries;
    description_ = "io_uring: ";
    description_ += flags;
    return;
  }
  if (wish_ == backend::io_uring || failure.is_fatal()) failure.raise(entries_);
  become_soft(failure.reason());
}

inline ring* ring::beside() noexcept {
  if (beside_ == nullptr) {
    constexpr unsigned few = 8;
    try {
      beside_ = std::make_unique<ring>(few, backend::epoll, threads_, nullptr);
      is_plain_ = false;
    } catch (const std::exception&) {
      return nullptr;
    }
  }
  return beside_.get();
}

inline void ring::bind() {
  if (soft_ != nullptr) return;
  thread_ = ::gettid();
  const ring_failure failure = kernel_ring::enable(queues_, *reserve());
  changed_ = queues_.sq.sqe_tail;
  if (failure.error == 0) return;
  if (wish_ == backend::io_uring || failure.is_fatal()) failure.raise(entries_);
  // Nothing was asked of it yet, so another can take its place.
  io_uring_queue_exit(&queues_);
  become_soft(failure.reason());
}

/// Why again: when the cause of a completion is itself a write to an eventfd, Linux puts its own
/// write off, and some versions (6.18 is one) do so only once after each registration and never
/// write again.
inline int ring::notify(int eventfd) noexcept {
  if (soft_ != nullptr || notified_after_ == calls_) return 0;  // the soft ring's own tells
  io_uring_unregister_eventfd(&queues_);
  const int result = io_uring_register_eventfd(&queues_, eventfd);
  if (result == 0) notified_after_ = calls_;
  return result;
}

}  // namespace rondo::detail
