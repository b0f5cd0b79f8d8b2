// SPDX-License-Identifier: BSL-1.0

#include <rondo/threads/with_stop_token.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "loop/tasks.hpp"
#include "support/loop_test.hpp"
#include "support/manual_loop.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
using rondo::with_stop_token;

namespace {

/// Answers a cancellation with a value.
task<int> stubborn(int n) {
  try {
    co_await for_ever();
  } catch (const rondo::operation_canceled&) {
  }
  co_return n;
}
/// Answers a cancellation with an error of its own.
task<> cleaning_up_badly() {
  try {
    co_await for_ever();
  } catch (const rondo::operation_canceled&) {
    throw std::out_of_range("while cleaning up");
  }
}
std::size_t armed() { return rondo::event_loop::current().stats().timers; }

}  // namespace

// Never stopped

LOOP_TEST("with a token that is never stopped it gives what it surrounds") {
  std::stop_source source;
  int there = 0;
  const auto refer = [](int& n) -> task<int&> { co_return n; };
  const auto make = [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  const auto fails = []() -> task<> {
    throw std::out_of_range("its own error");
    co_return;
  };
  const int value = co_await with_stop_token(source.get_token(), giving(3));
  int& same = co_await with_stop_token(source.get_token(), refer(there));
  const auto owner = co_await with_stop_token(source.get_token(), make(5));
  co_await with_stop_token(source.get_token(), rondo::sleep_for(1us));
  const std::string words = co_await words_of(with_stop_token(source.get_token(), fails()));
  CHECK(value == 3);
  CHECK(&same == &there);
  CHECK(*owner == 5);
  CHECK(words == "its own error");
}

LOOP_TEST("a token without a source stops nothing") {
  const int value = co_await with_stop_token(std::stop_token(), giving(3));
  CHECK(value == 3);
  auto waiting = rondo::spawn(code_of(with_stop_token(std::stop_token(), for_ever())));
  co_await rondo::yield();
  waiting.cancel();
  const std::error_code code = co_await waiting;
  CHECK(code == rondo::errc::canceled);
}

LOOP_TEST("a source that stops when all is over stops nothing any more") {
  std::stop_source source;
  const int value = co_await with_stop_token(source.get_token(), giving(3));
  source.request_stop();
  co_await round_trip();
  CHECK(value == 3);
}

LOOP_TEST("a stop that comes when it has ended, but those beside it have not, is not heard") {
  std::stop_source source;
  const auto stops = [](std::stop_source& s) -> task<> {
    for (int i = 0; i < 10; ++i) co_await rondo::yield();
    s.request_stop();
    for (int i = 0; i < 10; ++i) co_await round_trip();
  };
  const auto both =
      co_await when_all(with_stop_token(source.get_token(), giving(3)), stops(source));
  CHECK(std::get<0>(both) == 3);
}

// Stopped

LOOP_TEST("stopped before it starts, it takes what ends without waiting and cancels the rest") {
  std::stop_source source;
  source.request_stop();
  const auto at_once = []() -> task<int> { co_return 4; };
  const int value = co_await with_stop_token(source.get_token(), at_once());
  const auto asks = []() -> task<bool> { co_return co_await rondo::cancellation_requested(); };
  const bool requested = co_await with_stop_token(source.get_token(), asks());
  const std::error_code code = co_await code_of(with_stop_token(source.get_token(), for_ever()));
  const std::error_code plain =
      co_await code_of(with_stop_token(source.get_token(), rondo::sleep_for(1h)));
  CHECK(value == 4);
  CHECK(requested);
  CHECK(code == rondo::errc::canceled);
  CHECK(plain == rondo::errc::canceled);
  CHECK(armed() == 0);
  co_await rondo::io::nop();  // the task itself was not canceled
}

LOOP_TEST("stopped on the loop's thread, by another task, it cancels and waits for the end") {
  std::stop_source source;
  bool ended = false;
  const auto slow = [](bool& flag) -> task<> {
    try {
      co_await for_ever();
    } catch (const rondo::operation_canceled&) {
    }
    for (int i = 0; i < 20; ++i) co_await rondo::shield(rondo::yield());
    flag = true;
    throw rondo::operation_canceled();
  };
  auto waiting = rondo::spawn(code_of(with_stop_token(source.get_token(), slow(ended))));
  co_await rondo::yield();
  CHECK(armed() == 1);
  source.request_stop();
  CHECK_FALSE(waiting.done());  // never inside request_stop
  const std::error_code code = co_await waiting;
  CHECK(code == rondo::errc::canceled);
  CHECK(ended);
  CHECK(armed() == 0);
}

LOOP_TEST("a task may stop its own token, and feels it at its next operation") {
  std::stop_source source;
  std::string log;
  const auto body = [&]() -> task<> {
    co_await rondo::yield();
    source.request_stop();
    log += '1';
    for (int i = 0; i < 3; ++i) co_await rondo::io::nop();
    log += "not here";
  };
  const std::error_code code = co_await code_of(with_stop_token(source.get_token(), body()));
  CHECK(code == rondo::errc::canceled);
  CHECK(log == "1");
}

LOOP_TEST("what ends with a value or an error although it was stopped counts") {
  std::stop_source source;
  auto value = rondo::spawn(
      [](std::stop_token t) -> task<int> { co_return co_await with_stop_token(t, stubborn(7)); },
      source.get_token());
  auto error = rondo::spawn(words_of(with_stop_token(source.get_token(), cleaning_up_badly())));
  co_await rondo::yield();
  source.request_stop();
  const int n = co_await value;
  const std::string words = co_await error;
  CHECK(n == 7);
  CHECK(words == "while cleaning up");
}

LOOP_TEST("one token stops all that it was given to") {
  std::stop_source source;
  std::vector<rondo::join_handle<std::error_code>> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(rondo::spawn(code_of(
        with_stop_token(source.get_token(), with_stop_token(source.get_token(), for_ever())))));
  }
  co_await rondo::yield();
  CHECK(armed() == 20);
  source.request_stop();
  for (auto& each : all) {
    const std::error_code code = co_await each;
    CHECK(code == rondo::errc::canceled);
  }
  CHECK(armed() == 0);
}

LOOP_TEST("to whoever awaits it a stop is an error of its own, which ends siblings") {
  std::stop_source source;
  auto waiting = rondo::spawn(
      code_of(when_all(for_ever(), with_stop_token(source.get_token(), for_ever()))));
  co_await rondo::yield();
  source.request_stop();
  const std::error_code code = co_await waiting;
  CHECK(code == rondo::errc::canceled);
  std::stop_source stopped;
  stopped.request_stop();
  // An error does not win this race.
  const auto first =
      co_await first_success(with_stop_token(stopped.get_token(), for_ever()), giving(1));
  CHECK(first.index() == 1);
  // But it ends this one, as a cancellation of the task itself would not.
  const std::error_code any =
      co_await code_of(when_any(with_stop_token(stopped.get_token(), for_ever()), for_ever()));
  CHECK(any == rondo::errc::canceled);
  CHECK(armed() == 0);
}

LOOP_TEST("a cancellation from outside reaches through it, with or without a stop") {
  std::stop_source source;
  auto waiting = rondo::spawn(code_of(with_stop_token(source.get_token(), for_ever())));
  auto both = rondo::spawn(code_of(with_stop_token(source.get_token(), for_ever())));
  auto before = rondo::spawn(code_of(with_stop_token(source.get_token(), for_ever())));
  before.cancel();
  co_await rondo::yield();
  waiting.cancel();
  const std::error_code first = co_await waiting;
  source.request_stop();
  both.cancel();
  const std::error_code second = co_await both;
  const std::error_code third = co_await before;
  CHECK(first == rondo::errc::canceled);
  CHECK(second == rondo::errc::canceled);
  CHECK(third == rondo::errc::canceled);
  CHECK(armed() == 0);
}

LOOP_TEST("one that is made and dropped destroys what it surrounds, which never ran") {
  std::stop_source source;
  const auto argument = std::make_shared<int>(1);
  bool ran = false;
  const auto body = [](bool& flag, std::shared_ptr<int>) -> task<> {
    flag = true;
    co_return;
  };
  static_cast<void>(with_stop_token(source.get_token(), body(ran, argument)));
  source.request_stop();
  co_await round_trip();
  CHECK_FALSE(ran);
  CHECK(argument.use_count() == 1);
}

// From other threads

LOOP_TEST("a thread stops it while the loop sleeps") {
  std::stop_source source;
  std::thread other([&source] {
    std::this_thread::sleep_for(1ms);
    source.request_stop();
  });
  const std::error_code code = co_await code_of(with_stop_token(source.get_token(), for_ever()));
  other.join();
  CHECK(code == rondo::errc::canceled);
}

TEST_CASE("a std::jthread's own token stops a loop that runs on it") {
  std::error_code code;
  {
    std::jthread other([&code](std::stop_token token) {
      code = rondo::run(code_of(with_stop_token(std::move(token), for_ever())));
    });
  }
  CHECK(code == rondo::errc::canceled);
}

LOOP_TEST("a stop that races with the end cancels, or comes too late and touches nothing") {
  constexpr int count = 1000;
  std::vector<std::stop_source> sources(count);
  std::atomic<int> begun{0};
  std::thread stopper([&] {
    for (int i = 0; i < count; ++i) {
      while (begun.load() <= i) std::this_thread::yield();
      sources[static_cast<std::size_t>(i)].request_stop();
    }
  });
  // Some wait for nobody, some until they are stopped, some for as long as a stop needs to come.
  const auto turns = [](std::atomic<int>& started, int i) -> task<int> {
    started.store(i + 1);
    if (i % 4 == 3) co_await for_ever();
    for (int n = i % 50 * 20; n > 0; --n) co_await rondo::yield();
    co_return i;
  };
  int gave = 0;
  int stopped = 0;
  for (int i = 0; i < count; ++i) {
    try {
      const int n = co_await with_stop_token(sources[static_cast<std::size_t>(i)].get_token(),
                                             turns(begun, i));
      gave += n == i ? 1 : 0;
    } catch (const rondo::operation_canceled&) {
      ++stopped;
    }
  }
  stopper.join();
  CHECK(gave + stopped == count);
  CHECK(stopped >= count / 4);
  CHECK(armed() == 0);
}

TEST_CASE("a cancellation that comes after the end, while a request is on its way, changes nothing") {
  manual_loop loop;
  std::stop_source source;
  manual_loop::root root(loop, with_stop_token(source.get_token(), rondo::checkpoint()));
  root.start();
  source.request_stop();
  loop.turn();  // the checkpoint ends, before the request arrives
  CHECK(!root.done());
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK_NOTHROW(root.take());
}
