// SPDX-License-Identifier: BSL-1.0

#include <rondo/threads/on.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/loop_test.hpp"
#include "support/other_loop.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::on;
using rondo::task;

namespace {

task<std::thread::id> where() {
  co_await rondo::yield();
  co_return std::this_thread::get_id();
}
task<> wait_for(std::atomic<bool>& started) {
  started = true;
  co_await for_ever();
}
task<int> stubborn_once_begun(int n, std::atomic<bool>& started) {
  try {
    co_await wait_for(started);
  } catch (const rondo::operation_canceled&) {
  }
  co_return n;
}

/// Notes the thread that it goes in.
class noting {
 public:
  explicit noting(std::thread::id& where) : where_(&where) {}
  noting(noting&& other) noexcept : where_(std::exchange(other.where_, nullptr)) {}
  noting& operator=(noting&&) = delete;
  ~noting() {
    if (where_ != nullptr) *where_ = std::this_thread::get_id();
  }

 private:
  std::thread::id* where_;
};

}  // namespace

// What comes back

LOOP_TEST("on runs a task in the other loop's thread and goes on in this one") {
  const other_loop other;
  const std::thread::id there = co_await on(other.loop(), where());
  CHECK(there == other.thread());
  CHECK(there != std::this_thread::get_id());
  CHECK(&rondo::event_loop::current() != &other.loop());
}

LOOP_TEST("on gives values that only move, references and nothing") {
  const other_loop other;
  const auto owner = co_await on(
      other.loop(), [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); }(4));
  int x = 0;
  int& same = co_await on(other.loop(), [](int& n) -> task<int&> { co_return n; }(x));
  co_await on(other.loop(), [](int& n) -> task<> {
    n = 3;
    co_return;
  }(x));
  CHECK(*owner == 4);
  CHECK(&same == &x);
  CHECK(x == 3);
}

LOOP_TEST("what the task throws is thrown here") {
  const other_loop other;
  const std::string what = co_await words_of(on(other.loop(), []() -> task<int> {
    co_await rondo::yield();
    throw std::out_of_range("over there");
  }()));
  CHECK(what == "over there");
}

LOOP_TEST("the task and its arguments end in the thread that it ran in") {
  const other_loop other;
  std::thread::id argument;
  std::thread::id local;
  co_await on(other.loop(), [](noting, std::thread::id& l) -> task<> {
    const noting here(l);
    co_await rondo::yield();
  }(noting(argument), local));
  CHECK(argument == other.thread());
  CHECK(local == other.thread());
}

LOOP_TEST("on works for the loop that runs here as well") {
  const std::thread::id there = co_await on(rondo::event_loop::current(), where());
  CHECK(there == std::this_thread::get_id());
}

LOOP_TEST("the task sees none of the context variables of whoever sent it") {
  static rondo::context_var<int> variable{1};
  const other_loop other;
  const auto seen = []() -> task<int> { co_return variable.get(); };
  const int there = co_await rondo::with_context(variable, 2, on(other.loop(), seen()));
  const int here = co_await rondo::with_context(variable, 2, seen());
  CHECK(there == 1);
  CHECK(here == 2);
}

LOOP_TEST("two loops call each other at the same time") {
  const other_loop other;
  rondo::event_loop& here = rondo::event_loop::current();
  const auto back = [](rondo::event_loop& first) -> task<bool> {
    const std::thread::id mine = std::this_thread::get_id();
    const std::thread::id others = co_await on(first, where());
    co_return mine != others;
  };
  std::vector<task<bool>> calls;
  for (int i = 0; i < 100; ++i) calls.push_back(back(here));
  std::vector<rondo::detail::on_description<bool>> there;
  for (auto& call : calls) there.push_back(on(other.loop(), std::move(call)));
  const std::vector<bool> crossed = co_await rondo::when_all(std::move(there));
  CHECK(crossed == std::vector<bool>(100, true));
}

// Cancellation

LOOP_TEST("a canceled call cancels the task there, and waits for it") {
  const other_loop other;
  std::atomic<bool> started{false};
  std::atomic<bool> ended{false};
  auto call = rondo::spawn([](rondo::event_loop& there, std::atomic<bool>& s,
                              std::atomic<bool>& e) -> task<> {
    co_await on(there, [](std::atomic<bool>& s2, std::atomic<bool>& e2) -> task<> {
      co_await rondo::finally(wait_for(s2), [&]() -> task<> {
        co_await rondo::sleep_for(2ms);
        e2 = true;
      });
    }(s, e));
  }, std::ref(other.loop()), std::ref(started), std::ref(ended));
  co_await until([&] { return started.load(); });
  call.cancel();
  const std::error_code code = co_await code_of(std::move(call));
  CHECK(code == rondo::errc::canceled);
  CHECK(ended);
}

LOOP_TEST("the value of a task that was canceled too late counts") {
  const other_loop other;
  std::atomic<bool> started{false};
  auto call = rondo::spawn([](rondo::event_loop& there, std::atomic<bool>& s) -> task<int> {
    co_return co_await on(there, stubborn_once_begun(5, s));
  }, std::ref(other.loop()), std::ref(started));
  co_await until([&] { return started.load(); });
  call.cancel();
  const int n = co_await call;
  CHECK(n == 5);
}

LOOP_TEST("in a canceled task nothing is sent") {
  const other_loop other;
  std::atomic<bool> started{false};
  auto call = rondo::spawn([](rondo::event_loop& there, std::atomic<bool>& s) -> task<> {
    co_await on(there, wait_for(s));
  }, std::ref(other.loop()), std::ref(started));
  call.cancel();
  const std::error_code code = co_await code_of(std::move(call));
  co_await on(other.loop(), where());  // whatever was sent before has arrived
  CHECK(code == rondo::errc::canceled);
  CHECK_FALSE(started);
}

LOOP_TEST("a call that loses a race is canceled over there") {
  const other_loop other;
  std::atomic<bool> started{false};
  const auto won = co_await rondo::when_any(on(other.loop(), wait_for(started)),
                                            until([&] { return started.load(); }));
  CHECK(won.index() == 1);
}

LOOP_TEST("a call that is not awaited does nothing") {
  const other_loop other;
  std::atomic<bool> started{false};
  { [[maybe_unused]] const auto dropped = on(other.loop(), wait_for(started)); }
  co_await on(other.loop(), where());
  CHECK_FALSE(started);
}

// The other loop's life

LOOP_TEST("a call waits for a loop that does not run yet") {
  rondo::event_loop later;
  std::jthread runner;
  auto call = rondo::spawn([](rondo::event_loop& l) -> task<std::thread::id> {
    co_return co_await on(l, where());
  }, std::ref(later));
  co_await yields(10);
  const bool early = call.done();
  runner = std::jthread([&] { later.run(rondo::sleep_for(50ms)); });
  const std::thread::id there = co_await call;
  CHECK_FALSE(early);
  CHECK(there == runner.get_id());
}

LOOP_TEST("when the other loop's root ends, the call ends with an error that is a cancellation") {
  other_loop other;
  std::atomic<bool> started{false};
  auto call = rondo::spawn([](rondo::event_loop& there, std::atomic<bool>& s) -> task<> {
    bool caught = false;
    try {
      co_await on(there, wait_for(s));
    } catch (const rondo::operation_canceled&) {
      caught = true;
    }
    const bool mine = co_await rondo::cancellation_requested();
    CHECK(caught);
    CHECK_FALSE(mine);
  }, std::ref(other.loop()), std::ref(started));
  co_await until([&] { return started.load(); });
  other.stop();
  co_await call;
}

LOOP_TEST("a call to a loop that is destroyed before it runs, or runs again, ends as canceled") {
  for (const bool has_run : {false, true}) {
    auto gone = std::make_unique<rondo::event_loop>();
    if (has_run) std::thread([&gone] { gone->run(rondo::yield()); }).join();
    auto call = rondo::spawn([](rondo::event_loop& there) -> task<> {
      co_await on(there, for_ever());
    }, std::ref(*gone));
    co_await round_trip();
    gone.reset();
    const std::error_code code = co_await code_of(std::move(call));
    CHECK(code == rondo::errc::canceled);
  }
}

// Races

LOOP_TEST("calls that end while they are canceled give a value or a cancellation, each once") {
  const other_loop other;
  std::atomic<int> begun{0};
  std::atomic<int> ended{0};
  const auto work = [](std::atomic<int>& b, std::atomic<int>& e, int turns) -> task<int> {
    ++b;
    try {
      for (int i = 0; i < turns; ++i) co_await rondo::yield();
    } catch (...) {
      ++e;
      throw;
    }
    ++e;
    co_return turns;
  };
  int values = 0;
  int canceled = 0;
  for (int i = 0; i < 500; ++i) {
    auto call = rondo::spawn([](rondo::event_loop& l, task<int> t) -> task<int> {
      co_return co_await on(l, std::move(t));
    }, std::ref(other.loop()), work(begun, ended, i % 40));
    for (int n = 0; n < i % 7; ++n) co_await rondo::yield();
    if (i % 3 == 0) std::this_thread::yield();
    call.cancel();
    const std::error_code code = co_await code_of(std::move(call));
    ++(code == rondo::errc::canceled ? canceled : values);
    CHECK(begun == ended);
  }
  CHECK(values + canceled == 500);
}
