// SPDX-License-Identifier: BSL-1.0

#include <rondo/threads/to_thread.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
using rondo::to_thread;

namespace {

/// Holds threads up until it is opened, and tells how many have come.
class barrier {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  int arrived() {
    const std::lock_guard lock(mutex_);
    return arrived_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  bool open_ = false;
};

/// Lets a thread go on at the end of a block, whatever ends it.
struct opened_at_end {
  barrier& b;
  ~opened_at_end() { b.open(); }
};

int twice(int n) { return 2 * n; }
void failing() { throw std::out_of_range("on the thread"); }

rondo::loop_options with_threads(std::size_t most) {
  rondo::loop_options options;
  options.max_threads = most;
  return options;
}

}  // namespace

// Results

LOOP_TEST("to_thread gives what the function returns") {
  const int n = co_await to_thread(twice, 21);
  const auto text = co_await to_thread([](std::string a, const std::string& b) { return a + b; },
                                       std::string("one"), "two");
  const auto owner = co_await to_thread([](int m) { return std::make_unique<int>(m); }, 5);
  co_await to_thread([] {});
  CHECK(n == 42);
  CHECK(text == "onetwo");
  CHECK(*owner == 5);
}

LOOP_TEST("to_thread rethrows what the function throws") {
  const std::string words = co_await words_of(to_thread(failing));
  CHECK(words == "on the thread");
  const auto no_exception = []() -> int { throw 7; };
  int caught = 0;
  try {
    co_await to_thread(no_exception);
  } catch (int n) {
    caught = n;
  }
  CHECK(caught == 7);
}

LOOP_TEST("an operation_canceled that the function throws is an error like any other") {
  const auto throwing = [] { throw rondo::operation_canceled(); };
  const std::error_code code = co_await code_of(to_thread(throwing));
  CHECK(code == rondo::errc::canceled);
  co_await rondo::io::nop();  // this scope was not canceled
}

LOOP_TEST("a result that has no default constructor, and one that is bool") {
  struct picky {
    explicit picky(int n) : number(n) {}
    int number;
  };
  const picky p = co_await to_thread([] { return picky(3); });
  const bool yes = co_await to_thread([] { return true; });
  const bool no = co_await to_thread([] { return false; });
  CHECK(p.number == 3);
  CHECK(yes);
  CHECK_FALSE(no);
}

// Threads

LOOP_TEST("the function runs on another thread, and the task goes on on the loop's") {
  const auto here = std::this_thread::get_id();
  const auto there = co_await to_thread([] { return std::this_thread::get_id(); });
  CHECK(there != here);
  CHECK(std::this_thread::get_id() == here);
}

LOOP_TEST("the loop goes on while the function runs") {
  barrier b;
  const auto others = [](barrier& held) -> task<int> {
    const opened_at_end at_end{held};
    int turns = 0;
    while (held.arrived() == 0) co_await rondo::sleep_for(100us);
    for (; turns < 100; ++turns) co_await round_trip();
    co_return turns;
  };
  const auto both = co_await rondo::when_all(to_thread(&barrier::pass, &b), others(b));
  CHECK(std::get<1>(both) == 100);
}

TEST_CASE("as many functions run at once as the loop has threads, and no more") {
  const auto body = []() -> task<> {
    barrier b;
    std::vector<rondo::join_handle<>> calls;
    const auto call = [](barrier& held) -> task<> { co_await to_thread(&barrier::pass, &held); };
    for (int i = 0; i < 5; ++i) calls.push_back(rondo::spawn(call(b)));
    co_await until([&b] { return b.arrived() == 3; });
    int ran = 0;
    auto late = rondo::spawn(
        [](int& n) -> task<> { co_await to_thread([](int& count) { ++count; }, std::ref(n)); },
        std::ref(ran));
    for (int i = 0; i < 20; ++i) co_await round_trip();
    CHECK(b.arrived() == 3);
    CHECK(ran == 0);
    b.open();
    for (auto& c : calls) co_await c;
    co_await late;
    CHECK(b.arrived() == 5);
    CHECK(ran == 1);
  };
  rondo::run(body(), with_threads(3));
}

LOOP_TEST("a thousand calls at once all come back with their own result") {
  std::vector<decltype(to_thread(twice, 1))> calls;
  std::vector<int> expected;
  for (int i = 0; i < 1000; ++i) {
    calls.push_back(to_thread(twice, i));
    expected.push_back(2 * i);
  }
  const std::vector<int> results = co_await rondo::when_all(std::move(calls));
  CHECK(results == expected);
}

TEST_CASE("the threads of a loop end with it") {
  for (int i = 0; i < 3; ++i) {
    const pid_t thread = rondo::run(to_thread(&::gettid));
    CHECK(thread != ::gettid());
    // A thread that was joined is gone from here a moment later.
    const std::string place = "/proc/self/task/" + std::to_string(thread);
    while (std::filesystem::exists(place)) std::this_thread::yield();
  }
}

// Arguments

LOOP_TEST("arguments are copied, or moved when they are given away") {
  std::string kept = "kept";
  auto owner = std::make_unique<std::string>("given away");
  auto call = to_thread([](std::string a, std::unique_ptr<std::string> b) { return a + " " + *b; },
                        kept, std::move(owner));
  kept = "changed";
  const std::string both = co_await std::move(call);
  CHECK(both == "kept given away");
  CHECK(owner == nullptr);
}

LOOP_TEST("std::ref passes a reference, which stays valid until the call has returned") {
  std::string text = "a";
  co_await to_thread([](std::string& t) { t += "b"; }, std::ref(text));
  CHECK(text == "ab");
}

LOOP_TEST("a callable that cannot be copied is moved") {
  struct owner {
    std::unique_ptr<int> kept;
    int operator()() const { return *kept; }
  };
  owner callable{std::make_unique<int>(9)};
  const int n = co_await to_thread(std::move(callable));
  CHECK(n == 9);
}

LOOP_TEST("the callable and its arguments are gone when the await has returned") {
  auto argument = std::make_shared<int>(1);
  co_await to_thread([](const std::shared_ptr<int>&) {}, argument);
  CHECK(argument.use_count() == 1);
  const std::string words =
      co_await words_of(to_thread([](const std::shared_ptr<int>&) { failing(); }, argument));
  CHECK(words == "on the thread");
  CHECK(argument.use_count() == 1);
}

LOOP_TEST("a call that is made and dropped does nothing") {
  bool called = false;
  static_cast<void>(to_thread([](bool& c) { c = true; }, std::ref(called)));
  co_await to_thread([] {});
  CHECK_FALSE(called);
}

// Cancellation

TEST_CASE("a call that is canceled while it waits for a thread is dropped") {
  const auto body = []() -> task<> {
    barrier b;
    const opened_at_end at_end{b};
    bool called = false;
    auto holding = rondo::spawn(
        [](barrier& held) -> task<> { co_await to_thread(&barrier::pass, &held); }, std::ref(b));
    co_await until([&b] { return b.arrived() == 1; });
    auto waiting = rondo::spawn(code_of(to_thread([](bool& c) { c = true; }, std::ref(called))));
    co_await rondo::yield();
    waiting.cancel();
    const std::error_code code = co_await waiting;  // although the only thread is held up
    CHECK(code == rondo::errc::canceled);
    b.open();
    co_await holding;
    co_await to_thread([] {});
    CHECK_FALSE(called);
  };
  rondo::run(body(), with_threads(1));
}

LOOP_TEST("a call that is canceled while it runs is waited for, and its result counts") {
  barrier b;
  auto running = rondo::spawn(
      [](barrier& held) -> task<int> {
        co_return co_await to_thread(
            [](barrier& h) {
              h.pass();
              return 5;
            },
            std::ref(held));
      },
      std::ref(b));
  co_await until([&b] { return b.arrived() == 1; });
  running.cancel();
  for (int i = 0; i < 20; ++i) co_await round_trip();
  CHECK_FALSE(running.done());
  b.open();
  const int n = co_await running;
  CHECK(n == 5);
}

LOOP_TEST("a call that is canceled while it runs and fails gives its error") {
  barrier b;
  auto running = rondo::spawn(words_of(to_thread(
      [](barrier& held) {
        held.pass();
        failing();
      },
      std::ref(b))));
  co_await until([&b] { return b.arrived() == 1; });
  running.cancel();
  b.open();
  const std::string words = co_await running;
  CHECK(words == "on the thread");
}

LOOP_TEST("a call in a canceled scope is refused, and never reaches a thread") {
  bool called = false;
  auto refused = rondo::spawn(code_of(to_thread([](bool& c) { c = true; }, std::ref(called))));
  refused.cancel();
  const std::error_code code = co_await refused;
  CHECK(code == rondo::errc::canceled);
  co_await to_thread([] {});
  CHECK_FALSE(called);
}

TEST_CASE("calls that are canceled while threads take them are run or dropped, never both") {
  std::atomic<int> called{0};
  const auto body = [](std::atomic<int>& count) -> task<> {
    int values = 0;
    int canceled = 0;
    for (int round = 0; round < 200; ++round) {
      std::vector<rondo::join_handle<std::error_code>> calls;
      for (int i = 0; i < 10; ++i) {
        calls.push_back(
            rondo::spawn(code_of(to_thread([](std::atomic<int>& c) { ++c; }, std::ref(count)))));
      }
      co_await rondo::yield();
      for (auto& c : calls) c.cancel();
      for (auto& c : calls) {
        const std::error_code code = co_await c;
        if (!code) ++values;
        if (code == rondo::errc::canceled) ++canceled;
      }
    }
    CHECK(values + canceled == 2000);
    CHECK(values == count);
  };
  rondo::run(body(called), with_threads(2));
}

LOOP_TEST("a call that has begun and takes longer than its limit is waited for") {
  const auto holding = [](barrier& held) {
    held.pass();
    return 6;
  };
  bool begun = false;
  while (!begun) {
    barrier b;
    auto limited = rondo::spawn(
        [holding](barrier& held) -> task<int> {
          co_return co_await rondo::with_timeout(5ms, to_thread(holding, std::ref(held)));
        },
        std::ref(b));
    co_await rondo::sleep_for(10ms);
    begun = b.arrived() == 1;
    b.open();
    if (begun) {
      const int n = co_await limited;
      CHECK(n == 6);
    } else {
      co_await limited.wait();
    }
  }
}

TEST_CASE("a run that ends waits for the calls that have begun") {
  barrier b;
  std::atomic<bool> returned{false};
  const auto body = [](barrier& held, std::atomic<bool>& done) -> task<> {
    static_cast<void>(rondo::spawn(
        [](barrier& h, std::atomic<bool>& d) -> task<> {
          co_await to_thread(
              [](barrier& x, std::atomic<bool>& y) {
                x.pass();
                y = true;
              },
              std::ref(h), std::ref(d));
        },
        std::ref(held), std::ref(done)));
    co_await until([&held] { return held.arrived() == 1; });
  };
  std::thread opener([&b] {
    while (b.arrived() == 0) std::this_thread::yield();
    b.open();
  });
  rondo::run(body(b, returned));
  CHECK(returned);
  opener.join();
}
