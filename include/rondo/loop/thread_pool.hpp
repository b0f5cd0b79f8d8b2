// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Threads for the few calls that can only block: name look-up, what a program hands to to_thread,
// and files where the kernel does not serve them (loop/soft_ring.hpp). A thread is started when
// there is a job and none is idle, up to a limit; one that has been idle for ten seconds leaves.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <utility>

#include <rondo/config.hpp>

namespace rondo::detail {

class thread_pool {
 public:
  /// What is to be done. It lives in whatever waits for it, until `run` has returned.
  struct job {
    explicit job(void (*what)(job&) noexcept) noexcept : run(what) {}
    void (*run)(job&) noexcept;
    job* next = nullptr;
  };

  explicit thread_pool(std::size_t most)
      : most_(most != 0 ? most : std::max<std::size_t>(std::thread::hardware_concurrency(), 4)) {}
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
    if (idle_ <= waiting_ && threads_.size() < most_) start_thread();
    j.next = nullptr;
    *last_ = &j;
    last_ = &j.next;
    ++waiting_;
    work_.notify_one();
  }

  /// Tells a job that runs to give up: a signal ends the system call that its thread waits in, with
  /// EINTR. It may come before the call has begun and be lost, so it is sent until the job ends.
  /// The signal is SIGURG, which does nothing unless somebody handles it.
  void interrupt(job& j) noexcept {
    static const bool prepared = handle_interrupts();
    const std::lock_guard lock(mutex_);
    for (worker& w : threads_) {
      if (w.does == &j && prepared) ::pthread_kill(w.thread.native_handle(), SIGURG);
    }
  }

  /// Takes back a job that has not begun. False: it has.
  [[nodiscard]] bool remove(job& j) noexcept {
    const std::lock_guard lock(mutex_);
    for (job** at = &first_; *at != nullptr; at = &(*at)->next) {
      if (*at != &j) continue;
      *at = j.next;
      if (last_ == &j.next) last_ = at;
      --waiting_;
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

  /// A handler of the program's own stays, and interrupts as well unless it has SA_RESTART.
  static bool handle_interrupts() noexcept {
    struct sigaction old {};
    ::sigaction(SIGURG, nullptr, &old);
    if ((old.sa_flags & SA_SIGINFO) != 0 ||
        (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN)) {
      return true;
    }
    struct sigaction mine {};
    mine.sa_handler = [](int) {};
    ::sigemptyset(&mine.sa_mask);
    return ::sigaction(SIGURG, &mine, nullptr) == 0;
  }

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
    ::sigaddset(&interrupts, SIGURG);
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
      job& j = *first_;
      first_ = j.next;
      if (first_ == nullptr) last_ = &first_;
      --waiting_;
      self->does = &j;
      lock.unlock();
      j.run(j);  // the job is gone from here on
      lock.lock();
      self->does = nullptr;
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
  std::size_t waiting_ = 0;  // jobs that no thread has taken
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
