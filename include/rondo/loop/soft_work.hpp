// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Entries of the soft ring that a thread of the pool carries out, because the call may block.
//
// A thread owns nothing and touches nothing of the ring: it runs the system call with what is in
// the entry, puts the entry on a lock-free list, and rings the bell, an eventfd that the ring's
// epoll watches, if the list was empty.
//
// The kernel holds the file of what is in flight. A thread has only the number of a descriptor, so
// each record (loop/soft_waits.hpp) counts the threads that use its descriptor, or will, and
// closing waits for them.

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <new>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rondo/loop/descriptors_of.hpp>
#include <rondo/loop/liburing.hpp>
#include <rondo/loop/own_descriptor.hpp>
#include <rondo/loop/soft_entry.hpp>
#include <rondo/loop/soft_table.hpp>
#include <rondo/loop/soft_waits.hpp>
#include <rondo/loop/thread_pool.hpp>

namespace rondo::detail {

/// After such a pause a thread that was told to give up is told again.
inline constexpr __kernel_timespec insisting_pause{0, 10'000'000};

/// Whether that comes first; a null `limit` is none.
[[nodiscard]] inline bool insists_before(const __kernel_timespec* limit) noexcept {
  constexpr const __kernel_timespec& pause = insisting_pause;
  return limit == nullptr || limit->tv_sec > pause.tv_sec ||
         (limit->tv_sec == pause.tv_sec && limit->tv_nsec > pause.tv_nsec);
}

/// What threads have finished.
class soft_finished {
 public:
  /// Throws: std::system_error. When it goes, the pool has ended its threads: none is on its way
  /// here.
  soft_finished() = default;
  soft_finished(const soft_finished&) = delete;
  soft_finished& operator=(const soft_finished&) = delete;

  [[nodiscard]] int bell() const noexcept { return bell_.get(); }

  /// On a thread of the pool. The entry belongs to the ring from here on.
  void add(soft_entry& s) noexcept {
    soft_entry* newest = newest_.load(std::memory_order_relaxed);
    do {
      s.next_finished = newest;
    } while (!newest_.compare_exchange_weak(newest, &s, std::memory_order_release,
                                            std::memory_order_relaxed));
    if (newest != nullptr) return;  // whoever found it empty rings
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(bell_.get(), &one, sizeof one);
  }

  /// By the ring: all of them, newest first.
  [[nodiscard]] soft_entry* take_all() noexcept {
    if (newest_.load(std::memory_order_relaxed) == nullptr) return nullptr;
    return newest_.exchange(nullptr, std::memory_order_acquire);
  }

  /// What a thread does with an entry. A signal that was not for it does not end its call.
  static void work(thread_pool::job& j) noexcept {
    auto& s = static_cast<soft_entry&>(j);
    const soft::verb& v = *soft::verb_of(s.ask.opcode);
    do {
      s.result = v.blocking(s.ask, s.progress);
    } while (s.result == -EINTR && !s.interrupted.load(std::memory_order_relaxed));
    s.finished->add(s);
  }

 private:
  std::atomic<soft_entry*> newest_{nullptr};
  own_descriptor bell_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd"};
};

class soft_work {
 public:
  /// Throws: std::system_error when there is no descriptor free.
  soft_work(loop_threads& threads, soft_waits& waits) : threads_(threads), waits_(waits) {}

  [[nodiscard]] int bell() const noexcept { return finished_.bell(); }

  /// Gives an entry that is in no list to a thread. 0, or a negative errno: it is as it was.
  [[nodiscard]] int begin(soft_entry& s) noexcept {
    if (!count(s, 1)) return -ENOMEM;
    s.run = &soft_finished::work;
    s.waits = soft::waits_for_others(s.ask);
    s.finished = &finished_;
    s.at = soft_entry::place::working;
    begun_.push_back(s);
    try {
      threads_.pool().submit(s);
    } catch (const std::bad_alloc&) {
      leave(s);
      return -ENOMEM;
    } catch (const std::exception&) {  // there is no thread, and there can be none
      leave(s);
      return -EAGAIN;
    }
    return 0;
  }

  /// Takes an entry back that no thread has begun with. False: one has, and is told to give up.
  [[nodiscard, gnu::cold]] bool take_back(soft_entry& s) noexcept {
    if (threads_.pool().remove(s)) {
      leave(s);
      return true;
    }
    if (!s.interrupted.exchange(true, std::memory_order_relaxed)) ++interrupted_;
    threads_.pool().interrupt(s);
    return false;
  }

  /// Whether a thread was told to give up and has not yet. A signal is lost on one that was just
  /// about to begin its call, so it has to be told again.
  [[nodiscard]] bool must_insist() const noexcept { return interrupted_ != 0; }
  /// Not in each turn of a busy loop: a call that goes on after a signal would never get further
  /// (Linux adds the timer's slack to what nanosleep says is left).
  [[gnu::cold]] void insist() noexcept {
    constexpr std::chrono::milliseconds apart(1);
    const auto now = std::chrono::steady_clock::now();
    if (now - insisted_ < apart) return;
    insisted_ = now;
    begun_.for_each([this](soft_entry& s) noexcept {
      if (s.interrupted.load(std::memory_order_relaxed)) threads_.pool().interrupt(s);
    });
  }

  /// Calls `ended(entry)` for all that threads have finished, the oldest first; they are in no list
  /// then.
  template <typename Ended>
  void collect(Ended ended) noexcept {
    soft_entry* oldest = nullptr;
    for (soft_entry* s = finished_.take_all(); s != nullptr;) {
      soft_entry* const next = s->next_finished;
      s->next_finished = oldest;
      oldest = s;
      s = next;
    }
    while (oldest != nullptr) {
      soft_entry& s = *oldest;
      oldest = s.next_finished;
      leave(s);
      ended(s);
    }
  }

  template <typename F>
  void for_each(F f) noexcept {
    begun_.for_each(f);
  }

 private:
  /// Counts for the descriptors that the call uses. False without memory for a record of one.
  bool count(const soft_entry& s, unsigned change) noexcept {
    const entry_descriptors its = descriptors_of(s.ask);
    soft_waits::record* const one = waits_.of(its.one);
    soft_waits::record* const other = waits_.of(its.other);
    if ((one == nullptr && its.one >= 0) || (other == nullptr && its.other >= 0)) return false;
    if (one != nullptr) one->at_work += change;
    if (other != nullptr) other->at_work += change;
    return true;
  }

  /// No thread has the entry any more.
  void leave(soft_entry& s) noexcept {
    s.unlink();
    static_cast<void>(count(s, static_cast<unsigned>(-1)));  // the records are there
    if (s.interrupted.load(std::memory_order_relaxed)) --interrupted_;
  }

  loop_threads& threads_;
  soft_waits& waits_;
  soft_finished finished_;
  intrusive_list<soft_entry> begun_;
  unsigned interrupted_ = 0;
  std::chrono::steady_clock::time_point insisted_{};
};

}  // namespace rondo::detail
