// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the tests of tasks and combinators are written with.
//
//     TASK_TEST("awaiting a task gives its value") {
//       const int n = co_await answer();
//       CHECK(n == 42);
//     }
//
// The body is a coroutine that runs on a manual_loop named `loop`, which is in scope.

#include <pthread.h>

#include <cstddef>
#include <coroutine>
#include <exception>
#include <thread>
#include <type_traits>
#include <utility>

#include <rondo/core/task.hpp>

#include "support/catch.hpp"
#include "support/manual_loop.hpp"

#define RONDO_TEST_JOIN2(a, b) a##b
#define RONDO_TEST_JOIN(a, b) RONDO_TEST_JOIN2(a, b)
#define TASK_TEST(...) RONDO_TASK_TEST(RONDO_TEST_JOIN(task_test_, __COUNTER__), __VA_ARGS__)
#define RONDO_TASK_TEST(body, ...)                        \
  static rondo::task<> body(rondo::test::manual_loop&);   \
  TEST_CASE(__VA_ARGS__) {                                \
    rondo::test::manual_loop the_loop;                    \
    the_loop.run(body(the_loop));                         \
  }                                                       \
  static rondo::task<> body([[maybe_unused]] rondo::test::manual_loop& loop)

namespace rondo::test {

/// How many of its kind there are, and how often they were copied and moved.
struct counts {
  int alive = 0;
  int copies = 0;
  int moves = 0;
};

class tracked {
 public:
  explicit tracked(counts& c, int v = 0) noexcept : value(v), counts_(&c) { ++counts_->alive; }
  tracked(const tracked& other) noexcept : value(other.value), counts_(other.counts_) {
    ++counts_->alive;
    ++counts_->copies;
  }
  tracked(tracked&& other) noexcept : value(other.value), counts_(other.counts_) {
    ++counts_->alive;
    ++counts_->moves;
  }
  tracked& operator=(const tracked&) = default;
  ~tracked() { --counts_->alive; }

  int value;

 private:
  counts* counts_;
};

/// An error that nobody mistakes for another.
struct oops : std::exception {
  explicit oops(int n) noexcept : number(n) {}
  const char* what() const noexcept override { return "oops"; }
  int number;
};

/// Runs f on a thread with a stack of this size and gives what it returns. What f throws ends the
/// test program, and so does a stack that grows with the number of awaits.
template <typename F>
auto on_small_stack(std::size_t bytes, F f) {
  using value = decltype(f());
  struct call {
    F& f;
    value given{};
  } c{f};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, bytes);
  pthread_t thread;
  const auto body = [](void* argument) -> void* {
    auto& self = *static_cast<call*>(argument);
    self.given = self.f();
    return nullptr;
  };
  if (pthread_create(&thread, &attributes, body, &c) != 0) std::terminate();
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  return c.given;
}

// Awaitables as other libraries write them.

/// Ready at once.
struct ready_awaiter {
  int value;
  bool await_ready() const noexcept { return true; }
  void await_suspend(std::coroutine_handle<>) const noexcept {}
  int await_resume() const noexcept { return value; }
};

/// Resumes its awaiter before await_suspend returns; can be neither copied nor moved.
struct inline_awaiter {
  explicit inline_awaiter(int v) noexcept : value(v) {}
  inline_awaiter(const inline_awaiter&) = delete;
  inline_awaiter& operator=(const inline_awaiter&) = delete;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> awaiting) const { awaiting.resume(); }
  int await_resume() const noexcept { return value; }
  int value;
};

/// Keeps whoever awaits it until `resume`.
struct parked {
  std::coroutine_handle<> awaiting;
  int value = 0;

  struct awaiter {
    parked& p;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const noexcept { p.awaiting = h; }
    int await_resume() const noexcept { return p.value; }
  };
  awaiter operator co_await() noexcept { return {*this}; }
  void resume() { std::exchange(awaiting, nullptr).resume(); }
};

/// Goes on on a thread of its own. Is joined by its destructor.
struct other_thread {
  std::thread thread;
  other_thread() = default;
  other_thread(other_thread&&) noexcept = default;
  ~other_thread() {
    if (thread.joinable()) thread.join();
  }
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> h) {
    // The handle may be gone, and this object with it, as soon as it was resumed.
    std::thread([h] { h.resume(); }).swap(thread);
  }
  std::thread::id await_resume() const noexcept { return std::this_thread::get_id(); }
};

}  // namespace rondo::test
