// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Threads for the few calls that can only block: name look-up, and what a program hands to
// to_thread. A thread is started when there is a job and none is idle, up to a limit; one that has
// been idle for ten seconds leaves.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <list>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/loop/event_loop.hpp>

namespace rondo::detail {

class thread_pool {
 public:
  /// What is to be done. It lives in whatever waits for it, until `run` has returned.
  struct job {
    explicit job(void (*what)(job&) noexcept) noexcept : run(what) {}
    void (*run)(job&) noexcept;
    job* next = nullptr;
  };

  /// The pool of a loop, made when it is needed first.
  [[nodiscard]] static thread_pool& of(event_loop& loop) {
    return loop.helper<thread_pool>(loop.thread_pool_, loop.options().max_threads);
  }

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
  using thread_list = std::list<std::thread>;

  void start_thread() {
    try {
      const auto self = threads_.emplace(threads_.end());
      try {
        *self = std::thread([this, self] { work(self); });
      } catch (...) {
        threads_.erase(self);
        throw;
      }
    } catch (...) {
      if (threads_.empty()) throw;  // otherwise those who are there will do it
    }
  }

  void work(thread_list::iterator self) noexcept {
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
      lock.unlock();
      j.run(j);  // the job is gone from here on
      lock.lock();
    }
    left_.splice(left_.end(), threads_, self);
    if (threads_.empty()) none_left_.notify_all();
  }

  void join_those_who_left() noexcept {
    for (std::thread& t : left_)
      t.join();  // they are past their last touch of the mutex, or nearly
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
  thread_list threads_;
  thread_list left_;  // threads to be joined
  bool ending_ = false;
};

}  // namespace rondo::detail
