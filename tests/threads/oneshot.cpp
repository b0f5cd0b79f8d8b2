// SPDX-License-Identifier: BSL-1.0

#include <rondo/threads/oneshot.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::oneshot;
using rondo::task;

namespace {

template <typename T>
task<T> waits(oneshot<T> o) {
  co_return co_await o.wait();
}
/// Lets a waiting task reach its wait.
task<> settle() { co_await rondo::yield(); }

std::exception_ptr an_error(const char* words) {
  return std::make_exception_ptr(std::out_of_range(words));
}

}  // namespace

// On one thread

LOOP_TEST("a value that was set before is given at once") {
  oneshot<int> number;
  number.set_value(3);
  const int n = co_await number.wait();
  oneshot<std::unique_ptr<int>> owner;
  owner.set_value(std::make_unique<int>(4));
  const auto pointer = co_await owner.wait();
  oneshot<std::string> text;
  text.set_value(3u, 'x');
  const std::string xs = co_await text.wait();
  int there = 5;
  oneshot<int&> reference;
  reference.set_value(there);
  int& same = co_await reference.wait();
  oneshot<> nothing;
  nothing.set_value();
  co_await nothing.wait();
  CHECK(n == 3);
  CHECK(*pointer == 4);
  CHECK(xs == "xxx");
  CHECK(&same == &there);
}

LOOP_TEST("a value that is set later wakes whoever waits") {
  oneshot<int> number;
  oneshot<std::unique_ptr<int>> owner;
  oneshot<> nothing;
  int there = 0;
  oneshot<int&> reference;
  auto a = rondo::spawn(waits(number));
  auto b = rondo::spawn(waits(owner));
  auto c = rondo::spawn(waits(nothing));
  auto d = rondo::spawn(waits(reference));
  co_await settle();
  number.set_value(6);
  owner.set_value(std::make_unique<int>(7));
  nothing.set_value();
  reference.set_value(there);
  CHECK_FALSE(a.done());  // not from inside set_value
  const int n = co_await a;
  const auto pointer = co_await b;
  co_await c;
  int& same = co_await d;
  CHECK(n == 6);
  CHECK(*pointer == 7);
  CHECK(&same == &there);
}

LOOP_TEST("an error is thrown by whoever waits, before or after") {
  oneshot<int> before;
  before.set_exception(an_error("before"));
  const std::string early = co_await words_of(before.wait());
  const std::string again = co_await words_of(before.wait());
  oneshot<> after;
  auto waiting = rondo::spawn(words_of(after.wait()));
  co_await settle();
  after.set_exception(an_error("after"));
  const std::string late = co_await waiting;
  CHECK(early == "before");
  CHECK(again == "before");
  CHECK(late == "after");
}

LOOP_TEST("setting it a second time throws, and changes nothing") {
  oneshot<int> o;
  const auto set_again = [&] {
    int thrown = 0;
    try {
      o.set_value(2);
    } catch (const std::future_error& e) {
      if (e.code() == std::future_errc::promise_already_satisfied) ++thrown;
    }
    try {
      o.set_exception(an_error("late"));
    } catch (const std::future_error& e) {
      if (e.code() == std::future_errc::promise_already_satisfied) ++thrown;
    }
    return thrown;
  };
  o.set_value(1);
  CHECK(set_again() == 2);
  const int n = co_await o.wait();
  CHECK(n == 1);
  CHECK(set_again() == 2);  // nor after it was taken
}

LOOP_TEST("a value whose constructor throws is not set") {
  struct picky {
    explicit picky(int n) {
      if (n < 0) throw std::out_of_range("negative");
    }
  };
  oneshot<picky> o;
  CHECK_THROWS_AS(o.set_value(-1), std::out_of_range);
  o.set_value(1);
  co_await o.wait();
}

LOOP_TEST("the value is given once, and to one") {
  oneshot<int> o;
  auto first = rondo::spawn(waits(o));
  co_await settle();
  const std::string second = co_await words_of(o.wait());
  CHECK_THAT(second, Catch::Matchers::ContainsSubstring("two tasks wait"));
  o.set_value(8);
  const int n = co_await first;
  CHECK(n == 8);
  const std::string late = co_await words_of(o.wait());
  CHECK_THAT(late, Catch::Matchers::ContainsSubstring("once"));
  // It is an error, not a value that is still to come out.
  const auto other = co_await first_success(o.wait(), rondo::yield());
  CHECK(other.index() == 1);
}

LOOP_TEST("copies are the same oneshot, and a callback keeps one of its own") {
  std::function<void(int)> callback;
  task<int> waiting = [&callback]() -> task<int> {
    oneshot<int> o;
    callback = [copy = o](int n) { copy.set_value(n); };
    return waits(o);
  }();
  auto handle = rondo::spawn(std::move(waiting));
  co_await settle();
  callback(9);
  const int n = co_await handle;
  CHECK(n == 9);
  CHECK_THROWS_AS(callback(10), std::future_error);
}

// Cancellation

LOOP_TEST("a canceled wait takes nothing, and may be repeated") {
  oneshot<int> o;
  for (int i = 0; i < 3; ++i) {
    const auto none = co_await rondo::try_for(1us, o.wait());
    CHECK_FALSE(none.has_value());
  }
  auto canceled = rondo::spawn(code_of(o.wait()));
  canceled.cancel();
  const std::error_code code = co_await canceled;
  CHECK(code == rondo::errc::canceled);
  o.set_value(3);
  auto late = rondo::spawn(code_of(o.wait()));
  late.cancel();
  const std::error_code refused = co_await late;
  CHECK(refused == rondo::errc::canceled);
  const int n = co_await o.wait();
  CHECK(n == 3);
}

LOOP_TEST("a value counts although a cancellation comes after it in the same turn") {
  oneshot<int> o;
  auto waiting = rondo::spawn(waits(o));
  co_await settle();
  o.set_value(3);
  waiting.cancel();
  const int n = co_await waiting;
  CHECK(n == 3);
}

LOOP_TEST("a value that is set after the cancellation, in the same turn, stays for the next wait") {
  oneshot<int> o;
  auto waiting = rondo::spawn(code_of(waits(o)));
  co_await settle();
  waiting.cancel();
  o.set_value(3);
  const std::error_code code = co_await waiting;
  CHECK(code == rondo::errc::canceled);
  const int n = co_await o.wait();
  CHECK(n == 3);
}

LOOP_TEST("of two oneshots that race the loser keeps its value") {
  oneshot<int> a;
  oneshot<int> b;
  auto racing = rondo::spawn(
      [](oneshot<int> x, oneshot<int> y) -> task<std::size_t> {
        const auto first = co_await when_any(x.wait(), y.wait());
        co_return first.index();
      },
      a, b);
  co_await settle();
  b.set_value(2);
  a.set_value(1);
  const std::size_t winner = co_await racing;
  CHECK(winner == 1);
  const int kept = co_await a.wait();
  CHECK(kept == 1);
}

LOOP_TEST("a oneshot that goes before anything was set leaves its waiter alone") {
  auto o = std::make_unique<oneshot<int>>();
  auto waiting = rondo::spawn(code_of(o->wait()));
  co_await settle();
  o.reset();
  co_await settle();
  CHECK_FALSE(waiting.done());
  waiting.cancel();
  const std::error_code code = co_await waiting;
  CHECK(code == rondo::errc::canceled);
}

TEST_CASE("a value that nobody took is destroyed with the last copy") {
  const auto value = std::make_shared<int>(1);
  {
    const oneshot<std::shared_ptr<int>> o;
    const oneshot<std::shared_ptr<int>> copy = o;
    o.set_value(value);
    static_cast<void>(copy.wait());
    CHECK(value.use_count() == 2);
  }
  CHECK(value.use_count() == 1);
}

// From other threads

LOOP_TEST("a thread sets it while the loop sleeps") {
  oneshot<std::thread::id> o;
  std::thread other([o] {
    std::this_thread::sleep_for(1ms);
    o.set_value(std::this_thread::get_id());
  });
  const auto expected = other.get_id();
  const auto here = std::this_thread::get_id();
  const auto there = co_await o.wait();
  CHECK(std::this_thread::get_id() == here);
  other.join();
  CHECK(there == expected);
}

LOOP_TEST("values from threads all arrive, whether somebody waits for them already or not") {
  constexpr int count = 1000;
  std::vector<oneshot<std::string>> all(count);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, all] {
      for (int i = t; i < count; i += 4) {
        all[static_cast<std::size_t>(i)].set_value("the value number " + std::to_string(i));
      }
    });
  }
  int right = 0;
  for (int i = 0; i < count; ++i) {
    const std::string text = co_await all[static_cast<std::size_t>(i)].wait();
    right += text == "the value number " + std::to_string(i) ? 1 : 0;
  }
  for (std::thread& each : threads) each.join();
  CHECK(right == count);
}

LOOP_TEST("a waiter and its oneshot may be gone as soon as the value has arrived") {
  constexpr int count = 500;
  struct shared {
    std::vector<std::optional<oneshot<int>>> places{count};
    std::atomic<int> made{0};
  } s;
  std::thread setter([&s] {
    for (int i = 0; i < count; ++i) {
      while (s.made.load() <= i) std::this_thread::yield();
      // The waiter's own copy goes while this one is still inside set_value.
      std::optional<oneshot<int>>& place = s.places[static_cast<std::size_t>(i)];
      const oneshot<int> copy = *place;
      copy.set_value(i);
    }
  });
  const auto one = [](shared& in, int i) -> task<int> {
    const oneshot<int> mine;
    in.places[static_cast<std::size_t>(i)].emplace(mine);
    in.made.store(i + 1);
    co_return co_await mine.wait();
  };
  int right = 0;
  for (int i = 0; i < count; ++i) {
    const int n = co_await one(s, i);
    right += n == i ? 1 : 0;
  }
  setter.join();
  CHECK(right == count);
}

LOOP_TEST("a value that races with a cancellation is given, or is there for the next wait") {
  constexpr int count = 500;
  const std::vector<oneshot<int>> all = [] {
    std::vector<oneshot<int>> made;
    for (int i = 0; i < count; ++i) made.emplace_back();
    return made;
  }();
  std::atomic<int> begun{0};
  std::thread setter([&] {
    for (int i = 0; i < count; ++i) {
      while (begun.load() <= i) std::this_thread::yield();
      all[static_cast<std::size_t>(i)].set_value(i);
    }
  });
  int right = 0;
  for (int i = 0; i < count; ++i) {
    const oneshot<int>& o = all[static_cast<std::size_t>(i)];
    auto waiting = rondo::spawn(waits(o));
    co_await settle();
    begun.store(i + 1);
    for (int turns = i % 50 * 10; turns > 0; --turns) co_await rondo::yield();
    waiting.cancel();
    std::optional<int> value;
    try {
      value = co_await waiting;
    } catch (const rondo::operation_canceled&) {
    }
    if (!value) value = co_await o.wait();
    right += *value == i ? 1 : 0;
  }
  setter.join();
  CHECK(right == count);
}

LOOP_TEST("of threads that set the same oneshot at once, one succeeds") {
  for (int i = 0; i < 50; ++i) {
    const oneshot<int> o;
    std::atomic<int> refused{0};
    std::atomic<int> ready{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        ++ready;
        while (ready.load() < 3) std::this_thread::yield();
        try {
          o.set_value(t);
        } catch (const std::future_error&) {
          ++refused;
        }
      });
    }
    const int n = co_await o.wait();
    for (std::thread& each : threads) each.join();
    CHECK(refused == 2);
    CHECK(n >= 0);
    CHECK(n < 3);
  }
}
