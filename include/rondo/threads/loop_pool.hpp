// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// loop_pool: several loops, each in a thread of its own. For servers that are to use more than one
// processor: each loop has its own listener (listen_options::reuse_port), its own connections and
// caches, and the threads share nothing.
//
//     rondo::loop_pool pool;                              // as many as there are processors
//     pool.run([](std::size_t i) -> rondo::task<> {       // each runs this, and i says which it is
//       co_await serve_on_port(7000);
//     });
//
// They reach each other through `on` (threads/on.hpp) and mailboxes; a loop answers until the work
// of all has ended.

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <sched.h>
#include <stdexcept>
#include <stop_token>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/core/task.hpp>
#include <rondo/loop/event_loop.hpp>
#include <rondo/loop/run.hpp>
#include <rondo/threads/oneshot.hpp>
#include <rondo/threads/with_stop_token.hpp>

namespace rondo {

namespace detail {
class pool_thread;
}  // namespace detail

struct loop_pool_options {
  /// Each thread stays on one of the processors that this process may use.
  bool pin = false;
  /// For each loop. on_unhandled is called on the thread of the loop that it concerns.
  loop_options loop{};
};

class loop_pool {
 public:
  /// loops: how many; 0: as many as there are processors that this process may use.
  /// Throws: std::system_error when a loop or a thread cannot be made.
  explicit loop_pool(std::size_t loops = 0, loop_pool_options options = {});
  loop_pool(const loop_pool&) = delete;
  loop_pool& operator=(const loop_pool&) = delete;
  ~loop_pool();

  [[nodiscard]] std::size_t size() const noexcept { return threads_.size(); }
  /// For `on`, mailboxes, post and submit. It runs while `run` does.
  [[nodiscard]] event_loop& loop(std::size_t i) const noexcept;

  /// Runs body(i, arguments...) on each loop i, and waits for all; again and again, if you like.
  /// The threads share one body, and get a copy of the arguments each.
  /// Throws: the first error, which cancels the others; interrupted when Ctrl-C did (see
  /// rondo::run); std::logic_error inside a running loop.
  template <typename F, typename... Args>
    requires std::is_invocable_r_v<task<>, F&, std::size_t, Args...>
  void run(F body, Args... arguments) {
    run_all([&](std::size_t i) { return with_its_own(body, i, Args(std::as_const(arguments))...); });
  }

 private:
  /// Keeps the arguments, which the body may take by reference.
  template <typename F, typename... Args>
  static task<> with_its_own(F& body, std::size_t i, Args... arguments) {
    co_await body(i, std::move(arguments)...);
  }
  template <typename = detail::on_use>
  void run_all(const std::function<task<>(std::size_t)>& body);

  std::vector<std::unique_ptr<detail::pool_thread>> threads_;
};

// Implementation

namespace detail {

/// Opens when everybody has come.
class pool_gate {
 public:
  explicit pool_gate(std::size_t all) : left_(all), open_(all) {}
  void arrive() {
    if (--left_ != 0) return;
    for (const oneshot<>& each : open_) each.set_value();
  }
  [[nodiscard]] auto wait(std::size_t i) const { return open_[i].wait(); }

 private:
  std::atomic<std::size_t> left_;
  std::vector<oneshot<>> open_;
};

/// One run of all loops. A loop goes on until all work has ended, and what was spawned has, since
/// the others may ask something of it until then.
template <typename = on_use>
class pool_run {
 public:
  using body_function = std::function<task<>(std::size_t)>;

  pool_run(std::size_t loops, const body_function& body)
      : body_(body), work_(loops), loops_(loops) {}

  /// In the thread of loop i.
  void on_thread(std::size_t i, event_loop& loop) noexcept {
    bool arrived = false;
    try {
      loop.run(work(i, arrived));
    } catch (...) {
      failed(std::current_exception());
    }
    if (!arrived) work_.arrive();
    loops_.arrive();
    try {
      loop.run(shield(loops_.wait(i)));
    } catch (...) {  // all have ended, but what is left here has not in time (drain_timeout)
      failed(std::current_exception());
    }
  }

  /// When all have ended.
  void rethrow(bool interrupted_by_user) const {
    if (error_) std::rethrow_exception(error_);
    if (canceled_ && interrupted_by_user) throw interrupted();
    if (canceled_) throw operation_canceled();
  }

 private:
  task<> work(std::size_t i, bool& arrived) {
    try {
      co_await with_stop_token(stop_.get_token(), body_(i));
    } catch (...) {
      failed(std::current_exception());
    }
    arrived = true;
    work_.arrive();
    const result<> opened = co_await as_result(work_.wait(i));
    if (opened.has_value()) co_return;
    failed(opened.exception());  // the loop was stopped, by Ctrl-C for example
    co_await shield(work_.wait(i));
  }

  void failed(const std::exception_ptr& error) noexcept {
    {
      const std::lock_guard lock(mutex_);
      try {
        std::rethrow_exception(error);
      } catch (const operation_canceled&) {
        canceled_ = true;
      } catch (...) {
        if (!error_) error_ = error;
      }
    }
    stop_.request_stop();
  }

  const body_function& body_;
  pool_gate work_;
  pool_gate loops_;
  std::stop_source stop_;
  std::mutex mutex_;
  std::exception_ptr error_;
  bool canceled_ = false;
};

/// A loop and its thread, which waits for something to run.
class pool_thread {
 public:
  using work = std::function<void(std::size_t, event_loop&)>;

  explicit pool_thread(std::size_t index, const loop_options& options)
      : index_(index), loop_(std::in_place, options), thread_([this] { serve(); }) {}
  pool_thread(const pool_thread&) = delete;
  pool_thread& operator=(const pool_thread&) = delete;
  ~pool_thread() {
    tell([this] { ending_ = true; });
    thread_.join();
  }

  void pin(const cpu_set_t& processor) {
    const int error = ::pthread_setaffinity_np(thread_.native_handle(), sizeof processor,
                                               &processor);
    if (error != 0) {
      throw std::system_error(error, std::system_category(), "pthread_setaffinity_np");
    }
  }
  /// what: on this thread, with the thread's number.
  void begin(const work& what) {
    tell([&] { work_ = &what; });
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return work_ == nullptr; });
  }

  [[nodiscard]] event_loop& loop() noexcept { return *loop_; }

 private:
  template <typename F>
  void tell(F change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_all();
  }
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ending_ || work_ != nullptr; });
      if (work_ == nullptr) break;
      lock.unlock();
      (*work_)(index_, *loop_);
      lock.lock();
      work_ = nullptr;
      changed_.notify_all();
    }
    loop_.reset();  // what was brought to it after its last run ends in its thread
  }

  std::size_t index_;
  std::optional<event_loop> loop_;
  std::mutex mutex_;
  std::condition_variable changed_;
  const work* work_ = nullptr;
  bool ending_ = false;
  std::thread thread_;
};

/// The processors that this process may use, one in each set.
inline std::vector<cpu_set_t> processors() {
  cpu_set_t all;
  if (::sched_getaffinity(0, sizeof all, &all) != 0) {
    throw std::system_error(errno, std::system_category(), "sched_getaffinity");
  }
  std::vector<cpu_set_t> each;
  for (std::size_t i = 0; i < CPU_SETSIZE; ++i) {
    if (!CPU_ISSET(i, &all)) continue;
    CPU_ZERO(&each.emplace_back());
    CPU_SET(i, &each.back());
  }
  return each;
}

}  // namespace detail

inline loop_pool::loop_pool(std::size_t loops, loop_pool_options options) {
  const std::vector<cpu_set_t> processors = detail::processors();
  if (loops == 0) loops = processors.size();
  for (std::size_t i = 0; i < loops; ++i) {
    threads_.push_back(std::make_unique<detail::pool_thread>(i, options.loop));
    if (options.pin) threads_.back()->pin(processors[i % processors.size()]);
  }
}

inline loop_pool::~loop_pool() = default;

inline event_loop& loop_pool::loop(std::size_t i) const noexcept {
  RONDO_ASSERT(i < size(), "a loop_pool has loops 0 to size() - 1");
  return threads_[i]->loop();
}

template <typename>
void loop_pool::run_all(const std::function<task<>(std::size_t)>& body) {
  if (detail::running_loop != nullptr) {
    throw std::logic_error("rondo: loop_pool::run inside a running loop would block it");
  }
  detail::pool_run<> round(size(), body);
  const detail::pool_thread::work work = [&](std::size_t i, event_loop& loop) {
    round.on_thread(i, loop);
  };
  const detail::interrupt_guard guard(loop(0));
  for (const auto& thread : threads_) thread->begin(work);
  for (const auto& thread : threads_) thread->wait();
  round.rethrow(guard.hit());
}

}  // namespace rondo
