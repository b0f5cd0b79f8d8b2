// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// event_loop: where tasks run. Most programs never name it; they call `rondo::run(task)`
// (loop/run.hpp).
//
//     rondo::event_loop loop;
//     int answer = loop.run(compute());     // again and again, if you like
//
// One loop belongs to one thread: the first that runs it. Other threads reach it through post,
// submit and stop, and through nothing else. The turn itself is in loop/engine.hpp.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include <rondo/core/task.hpp>
#include <rondo/loop/answer.hpp>
#include <rondo/loop/deadlock.hpp>
#include <rondo/loop/ending.hpp>
#include <rondo/loop/options.hpp>
#include <rondo/loop/posted.hpp>
#include <rondo/loop/root_line.hpp>
#include <rondo/loop/sigpipe_guard.hpp>
#include <rondo/loop/spawn.hpp>

namespace rondo {

class event_loop final : public detail::ending, public detail::spawns<event_loop, join_handle> {
 public:
  /// Throws: std::system_error that says what to do, when there is no free descriptor, or io_uring
  /// was asked for and is refused, or RONDO_TRACE cannot be written; std::invalid_argument when
  /// RONDO_BACKEND names no backend.
  explicit event_loop(loop_options options = {});

  /// Cancels and awaits what the loop still owns, however long that takes. On the thread that ran
  /// the loop.
  ~event_loop();

  /// Runs until `root` has ended; gives its value or rethrows its error. What was spawned and has
  /// not ended is canceled and awaited first.
  /// Throws: operation_canceled if `root` ended canceled; std::logic_error when this thread runs a
  /// loop already, or when the loop belongs to another thread. With virtual time: deadlock_error
  /// when nothing can happen any more; `root` and what was spawned have been canceled and have
  /// ended then, and whatever `root` gave or threw is dropped. With loop_options::drain_timeout:
  /// drain_error when what was left then has not ended in time.
  template <awaitable A>
  auto run(A&& root) -> await_result_t<A>;

  /// One turn, for those who have a loop of their own: does what is ready, waiting for at most
  /// `timeout` for something to do. False: nothing is left to do.
  /// With virtual time, too, `timeout` is real time, the longest that the call may take. A timer is
  /// not waited for then: if nothing else is, time jumps to it, also with a timeout of zero.
  bool run_once(std::chrono::nanoseconds timeout = std::chrono::nanoseconds(0));

  /// A descriptor for those who have a loop of their own: readable (poll, select, epoll) when
  /// run_once has something to do, be it a completion, a timer, a post, or what was spawned or
  /// canceled since the last turn. It is the loop's, and lives as long.
  /// Binds the loop to this thread, as running it does. Throws: std::system_error when there is no
  /// descriptor left; std::logic_error when the loop belongs to another thread.
  [[nodiscard]] int native_handle() {
    bind_here();
    return embed(detail::running_loop != this);
  }

  // spawn(task), spawn(operation), spawn(callable, arguments...): see core/spawned.hpp.
  // The loop owns what was spawned; see loop/spawn.hpp.

  /// Runs a callable on the loop's thread, one turn later; in the order of the calls. What it
  /// throws goes to on_unhandled. A loop that ends first drops it.
  /// Thread: any.
  template <std::invocable F>
  void post(F callable);

  /// Runs a task on the loop and gives its result to another thread. A stop requested of the token
  /// cancels it. A loop that ends first gives the future operation_canceled.
  /// Thread: any but the loop's, which would wait for itself.
  template <typename T>
  std::future<T> submit(task<T> t, std::stop_token token = {});

  /// Cancels the root; without one, the next root starts canceled.
  /// Thread: any. Safe in a signal handler.
  void stop() noexcept {
    stop_requested_.store(true, std::memory_order_seq_cst);
    inbox_.wake();
  }

  /// Whether the last run has left something behind; see loop_options::drain_timeout.
  using ending::gave_up;

  /// The time of this turn. Relative durations are measured from a fresh look at the clock instead.
  /// Virtual time begins when the loop is made, at the steady clock's time, so that a moment that
  /// was reckoned from that clock is about right; from then on only the loop moves it.
  [[nodiscard]] time_point now() const noexcept { return turn_time(); }

  [[nodiscard]] loop_stats stats() const noexcept {
    return {turns_, ring_.system_calls(), timers().size()};
  }
  /// Who carries out what is asked of the loop: io_uring or epoll.
  [[nodiscard]] rondo::backend backend() const noexcept { return ring_.which(); }
  /// Why, in one line: "io_uring: SINGLE_ISSUER DEFER_TASKRUN", or "epoll: io_uring_setup: EPERM (a
  /// seccomp profile or kernel.io_uring_disabled forbids io_uring)".
  [[nodiscard]] std::string_view backend_reason() const noexcept { return ring_.description(); }

  /// The loop that runs on this thread. Throws: std::logic_error outside a running loop.
  [[nodiscard]] static event_loop& current() {
    if (detail::running_loop == nullptr) {
      throw std::logic_error(
          "rondo: there is no running loop on this thread; call this from a task");
    }
    return static_cast<event_loop&>(*detail::running_loop);
  }
  /// The loop of a line of work: for operations.
  [[nodiscard]] static event_loop& of(const detail::scope& line) noexcept {
    return static_cast<event_loop&>(line.loop());
  }

  [[nodiscard]] const loop_options& options() const noexcept { return options_; }

 private:
  class running_here;
  template <typename Root>
  struct let_go;

  friend detail::spawns<event_loop, join_handle>;
  template <typename T>
  join_handle<T> adopt(detail::spawned<T>& s) {
    s.line.open(*this);
    if (finishing()) s.line.cancel();
    if (detail::running_loop == this) s.take_context(detail::current_context());
    tasks().own(s);
    return join_handle<T>(s);
  }
  template <typename T>
  task<> fulfill(detail::answer<T> promised, task<T> t, std::stop_token token,
                 std::shared_ptr<join_handle<>> self);

  void bind_here();
  static void report_unhandled(loop_base& self, unhandled_error&& error) noexcept;

  loop_options options_;
  std::atomic<bool> stop_requested_{false};
  std::thread::id thread_{};  // that the loop is bound to
  std::unique_ptr<detail::kept_root> left_behind_;
};

/// Starts a task on the running loop, on the next turn.
/// Throws: std::logic_error outside a running loop.
template <typename T>
join_handle<T> spawn(task<T> t, spawn_options options = {}) {
  return event_loop::current().spawn(std::move(t), options);
}
/// The same for an operation, a function and its arguments; see core/spawned.hpp.
template <detail::becomes_task A>
auto spawn(A&& operation, spawn_options options = {}) {
  return event_loop::current().spawn(std::move(operation), options);
}
template <typename F, typename... Args>
  requires std::invocable<F&, Args...>
auto spawn(F f, Args... args) {
  return event_loop::current().spawn(std::move(f), std::move(args)...);
}
template <typename F, typename... Args>
  requires std::invocable<F&, Args...>
auto spawn(spawn_options options, F f, Args... args) {
  return event_loop::current().spawn(options, std::move(f), std::move(args)...);
}

// Implementation

/// While this exists, the loop runs on this thread.
class event_loop::running_here {
 public:
  explicit running_here(event_loop& loop) : sigpipe_(loop.options_.ignore_sigpipe) {
    if (detail::running_loop != nullptr) {
      throw std::logic_error("rondo: this thread runs a loop already; use co_await, or spawn");
    }
    loop.bind_here();
    loop.measure_stack();
    loop.end_rest();
    detail::running_loop = &loop;
  }
  running_here(const running_here&) = delete;
  running_here& operator=(const running_here&) = delete;
  ~running_here() {
    static_cast<event_loop*>(std::exchange(detail::running_loop, nullptr))->rest();
  }

 private:
  detail::sigpipe_guard sigpipe_;
};

/// The root's arguments are destroyed with it. A stream among them may leave children behind.
template <typename Root>
struct event_loop::let_go {
  event_loop& loop;
  std::unique_ptr<Root>& root;
  ~let_go() {
    root.reset();
    if (loop.any_orphans()) static_cast<void>(loop.finish());
  }
};

inline void event_loop::bind_here() {
  if (thread_ == std::thread::id()) {
    bind();
    thread_ = std::this_thread::get_id();
  } else if (thread_ != std::this_thread::get_id()) {
    throw std::logic_error(
        "rondo: this loop belongs to the thread that ran it first; use post or submit from "
        "others");
  }
}

inline event_loop::event_loop(loop_options options)
    : ending(&event_loop::report_unhandled, detail::add_environment(options)),
      options_(std::move(options)) {}

inline event_loop::~event_loop() {
  RONDO_ASSERT(detail::running_loop != this, "a loop was destroyed by one of its own tasks");
  be_dropped();
  if (has_own_work()) {
    inbox_.deliver(*this);
    RONDO_ASSERT(thread_ == std::thread::id() || thread_ == std::this_thread::get_id(),
                 "a loop that still owns tasks was destroyed on a thread that is not its own");
    auto* const outer = std::exchange(detail::running_loop, nullptr);
    {
      const running_here now(*this);
      finish_at_last();
      left_behind_ = nullptr;
    }
    detail::running_loop = outer;
  }
  threads_.end();
  tasks().start_no_more();  // what other threads still bring is told that it is canceled
  inbox_.deliver(*this);
  while (has_ready()) run_ready(64);
  tasks().report_unclaimed();
}

template <awaitable A>
auto event_loop::run(A&& root) -> await_result_t<A> {
  const running_here now(*this);
  auto own = std::make_unique<detail::root_line<A>>(*this, std::forward<A>(root));
  detail::root_line<A>& line = *own;
  if (stop_requested_.exchange(false)) line.line.cancel();
  watched([&line] { line.start(); });
  detail::deadlock deadlock;
  while (!line.done()) {
    if (is_stuck() && !stop_requested_.load()) [[unlikely]] end_deadlock(line.line, deadlock);
    turn(never);
    if (stop_requested_.load(std::memory_order_relaxed)) [[unlikely]] {
      stop_requested_.store(false);
      line.line.cancel();
    }
  }
  if (!finish()) [[unlikely]] {
    line.report_error();
    own->next = std::move(left_behind_);
    left_behind_ = std::move(own);
    throw drain_error("rondo: what was left when the root had ended has not ended in time");
  }
  left_behind_ = nullptr;
  const let_go<detail::root_line<A>> root_goes{*this, own};
  if (deadlock.found) [[unlikely]] deadlock.raise();
  return line.take();
}

inline bool event_loop::run_once(std::chrono::nanoseconds timeout) {
  const running_here now(*this);
  const time_point start = detail::loop_clock::real_now();
  turn(timeout < never - start ? start + std::max(timeout, timeout.zero()) : never);
  return has_work();
}

template <std::invocable F>
void event_loop::post(F callable) {
  inbox_.send(*new detail::posted<F>(*this, std::move(callable)));
}

template <typename T>
std::future<T> event_loop::submit(task<T> t, std::stop_token token) {
  detail::answer<T> promised;
  auto future = promised.get_future();
  post(
      [this, promised = std::move(promised), t = std::move(t), token = std::move(token)]() mutable {
        const auto handle = std::make_shared<join_handle<>>();
        *handle = spawn(fulfill<T>(std::move(promised), std::move(t), std::move(token), handle));
      });
  return future;
}

template <typename T>
task<> event_loop::fulfill(detail::answer<T> promised, task<T> t, std::stop_token token,
                           std::shared_ptr<join_handle<>> self) {
  const auto cancel = [this, handle = std::exchange(self, nullptr)] {
    post([handle] { handle->cancel(); });
  };
  const std::stop_callback on_stop(std::move(token), cancel);
  try {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(t);
      promised.set_value();
    } else {
      promised.set_value(co_await std::move(t));
    }
  } catch (...) {
    promised.set_exception(std::current_exception());
  }
}

inline void event_loop::report_unhandled(loop_base& self, unhandled_error&& error) noexcept {
  auto& loop = static_cast<event_loop&>(self);
  const bool quiet = error.what == unhandled_error::kind::suppressed && !loop.debug();
  if (quiet && !loop.options_.on_unhandled) return;
  if (error.message.empty() && error.error) error.message = detail::describe(error.error);
  if (loop.options_.on_unhandled) {
    loop.options_.on_unhandled(error);
    return;
  }
  if (error.error == nullptr) {
    std::fprintf(stderr, "rondo: %s\n", error.message.c_str());
    return;
  }
  const int length = static_cast<int>(error.name.size());
  std::fprintf(stderr, "rondo: unhandled error in %s%.*s: %s\n", length != 0 ? "task " : "a task",
               length, error.name.data(), error.message.c_str());
}

}  // namespace rondo
