// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Threads for the few calls that can only block: name look-up, what a program hands to to_thread,
// and files where the kernel does not serve them (loop/soft_ring.hpp). A thread is started when
// there is a job and none is idle, up to a limit; one that has been idle for ten seconds leaves.
//
// A job that waits for somebody else, perhaps for another job, does not count: with it the limit
// is higher by one, for otherwise a few of them would keep out the one that they wait for.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <limits>
#include <list>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <utility>

#include <rondo/config.hpp>

namespace rondo::detail {

/// The signal that ends the call of a thread of a pool.
struct RONDO_VISIBLE pool_interrupt {
  static constexpr int number = SIGURG;  // does nothing unless somebody handles it

  static void send(pthread_t to) noexcept {
    const bool sent = ::pthread_sigqueue(to, number, {.sival_ptr = &mark}) == 0;
    if (!sent) ::pthread_kill(to, number);  // RLIMIT_SIGPENDING: it is taken for somebody else's
  }
  /// Whether it is this one, and not one of somebody else with its number.
  [[nodiscard]] static bool is(const siginfo_t& s) noexcept {
    return s.si_signo == number && s.si_code == SI_QUEUE && s.si_value.sival_ptr == &mark;
  }
  /// False: it would not end a call. A handler of the program's own stays, and ends it as well
  /// unless it has SA_RESTART.
  [[nodiscard]] static bool is_handled() noexcept {
    struct sigaction now {};
    ::sigaction(number, nullptr, &now);
    if (has_handler(now)) return true;
    struct sigaction mine {};
    mine.sa_handler = [](int) {};
    ::sigemptyset(&mine.sa_mask);
    if (::sigaction(number, &mine, &now) != 0) return false;
    if (has_handler(now)) ::sigaction(number, &now, nullptr);  // it has come between the two
    return true;
  }

 private:
  static bool has_handler(const struct sigaction& a) noexcept {
    return (a.sa_flags & SA_SIGINFO) != 0 || (a.sa_handler != SIG_DFL && a.sa_handler != SIG_IGN);
  }
  static inline char mark = 0;
};

class thread_pool {
 public:
  /// What is to be done. It lives in whatever waits for it, until `run` has returned.
  struct job {
    explicit job(void (*what)(job&) noexcept) noexcept : run(what) {}
    void (*run)(job&) noexcept;
    job* next = nullptr;
    bool waits = false;  // for somebody else, for as long as that takes
  };

  explicit thread_pool(std::size_t most)
      : most_(most != 0 ? std::min(most, no_limit)
                        : std::max<std::size_t>(std::thread::hardware_concurrency(), 4)) {}
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;
  ~thread_pool() {
    std::unique_lock lock(mutex_);
    RONDO_ASSERT(first_ == nullptr, "a thread pool was destroyed before its jobs");
    ending_ = true;
    work_.notify_all();
    none_left_.wait(lock, [this] { return threads_.empty(); });
    join_those_who_left();
  }

  /// Throws: std::system_error when there is no thread and none can be started.
  void submit(job& j) {
    const std::lock_guard lock(mutex_);
    join_those_who_left();
    if (idle_ <= queued_ && threads_.size() < most_ + beyond_ + j.waits) start_thread();
    if (j.waits) ++beyond_;
    j.next = nullptr;
    *last_ = &j;
    last_ = &j.next;
    ++queued_;
    work_.notify_one();
  }

  /// Tells a job that runs to give up: a signal ends the system call that its thread waits in, with
  /// EINTR. It may come before the call has begun and be lost, so it is sent until the job ends.
  void interrupt(job& j) noexcept {
    if (!pool_interrupt::is_handled()) return;
    const std::lock_guard lock(mutex_);
    for (worker& w : threads_) {
      if (w.does == &j) pool_interrupt::send(w.thread.native_handle());
    }
  }

  /// Takes back a job that has not begun. False: it has.
  [[nodiscard]] bool remove(job& j) noexcept {
    const std::lock_guard lock(mutex_);
    for (job** at = &first_; *at != nullptr; at = &(*at)->next) {
      if (*at != &j) continue;
      *at = j.next;
      if (last_ == &j.next) last_ = at;
      --queued_;
      if (j.waits) --beyond_;
      return true;
    }
    return false;
  }

 private:
  struct worker {
    std::thread thread;
    const job* does = nullptr;  // an address; it may be gone
  };
  using worker_list = std::list<worker>;
  static constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max() / 2;

  [[nodiscard]] bool are_too_many() const noexcept { return threads_.size() > most_ + beyond_; }

  void start_thread() {
    try {
      const auto self = threads_.emplace(threads_.end());
      try {
        self->thread = std::thread([this, self] { work(self); });
      } catch (...) {
        threads_.erase(self);
        throw;
      }
    } catch (...) {
      if (threads_.empty()) throw;  // otherwise those who are there will do it
    }
  }

  void work(worker_list::iterator self) noexcept {
    sigset_t interrupts;
    ::sigemptyset(&interrupts);
    ::sigaddset(&interrupts, pool_interrupt::number);
    ::pthread_sigmask(SIG_UNBLOCK, &interrupts, nullptr);
    std::unique_lock lock(mutex_);
    for (;;) {
      if (first_ == nullptr) {
        ++idle_;
        const bool called = work_.wait_for(lock, std::chrono::seconds(10),
                                           [this] { return first_ != nullptr || ending_; });
        --idle_;
        if (first_ == nullptr && (ending_ || !called)) break;
        continue;
      }
      if (are_too_many()) {  // what it was to do beyond the limit was taken back
        work_.notify_one();
        break;
      }
      job& j = *first_;
      first_ = j.next;
      if (first_ == nullptr) last_ = &first_;
      --queued_;
      self->does = &j;
      const bool waits = j.waits;
      lock.unlock();
      j.run(j);  // the job is gone from here on
      lock.lock();
      self->does = nullptr;
      if (waits) --beyond_;
      if (are_too_many()) break;  // those who stay do the rest
    }
    left_.splice(left_.end(), threads_, self);
    if (threads_.empty()) none_left_.notify_all();
  }

  void join_those_who_left() noexcept {
    for (worker& w : left_) {
      w.thread.join();  // they are past their last touch of the mutex, or nearly
    }
    left_.clear();
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable none_left_;
  job* first_ = nullptr;
  job** last_ = &first_;
  std::size_t queued_ = 0;   // jobs that no thread has taken
  std::size_t beyond_ = 0;   // jobs that wait, queued or running
  std::size_t idle_ = 0;     // threads that wait for one
  std::size_t most_;
  worker_list threads_;
  worker_list left_;  // threads to be joined
  bool ending_ = false;
};

/// The pool of a loop: it is made when it is needed first.
class loop_threads {
 public:
  explicit loop_threads(std::size_t most) noexcept : most_(most) {}

  [[nodiscard]] thread_pool& pool() { return pool_ ? *pool_ : pool_.emplace(most_); }
  [[nodiscard]] bool made() const noexcept { return pool_.has_value(); }
  void end() noexcept { pool_.reset(); }

 private:
  std::size_t most_;
  std::optional<thread_pool> pool_;
};

}  // namespace rondo::detail
