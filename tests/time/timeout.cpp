// SPDX-License-Identifier: BSL-1.0

#include <rondo/time/timeout.hpp>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::sleep_for;
using rondo::task;
using rondo::with_timeout;
using std::chrono::steady_clock;

namespace {

std::size_t armed() { return rondo::event_loop::current().stats().timers; }

template <typename T>
task<T> giving(T value) {
  co_await rondo::yield();
  co_return value;
}
template <typename T>
task<T> giving_at_once(T value) {
  co_return value;
}
task<int&> referring(int& n) {
  co_await rondo::yield();
  co_return n;
}
task<> failing() {
  co_await rondo::yield();
  throw std::out_of_range("its own error");
}
task<> for_ever() {
  for (;;) co_await sleep_for(1h);
}
/// Answers a cancellation with a value.
task<int> stubborn(int value) {
  try {
    co_await for_ever();
  } catch (const rondo::operation_canceled&) {
  }
  co_return value;
}
/// Answers a cancellation with an error of its own.
task<> cleaning_up_badly() {
  try {
    co_await for_ever();
  } catch (const rondo::operation_canceled&) {
    throw std::out_of_range("while cleaning up");
  }
}
/// Needs many turns to end.
task<> cleaning_up_slowly(bool& ended) {
  const std::error_code first = co_await code_of(for_ever());
  for (int i = 0; i < 50; ++i) {
    const std::error_code refused = co_await code_of(rondo::io::nop());
    CHECK(refused == first);
  }
  ended = true;
  throw rondo::operation_canceled();
}

}  // namespace

// The limit is not reached

LOOP_TEST("what ends in time gives its value, and the timer is gone") {
  const int n = co_await with_timeout(1h, giving(42));
  CHECK(n == 42);
  CHECK(armed() == 0);
  const auto moved = co_await with_timeout(1h, giving(std::make_unique<int>(7)));
  CHECK(*moved == 7);
  int there = 0;
  int& same = co_await with_timeout(1h, referring(there));
  CHECK(&same == &there);
  co_await with_timeout(1h, rondo::yield());
  CHECK(armed() == 0);
}

LOOP_TEST("what ends without waiting never looks at the clock") {
  const std::string text = co_await with_timeout(0s, giving_at_once(std::string("text")));
  CHECK(text == "text");
  CHECK(armed() == 0);
}

LOOP_TEST("what fails in time rethrows its own error, and the timer is gone") {
  const std::string words = co_await words_of(with_timeout(1h, failing()));
  CHECK(words == "its own error");
  CHECK(armed() == 0);
}

LOOP_TEST("the longest limit of any clock unit is for ever") {
  const int a = co_await with_timeout(std::chrono::nanoseconds::max(), giving(1));
  const int b = co_await with_timeout(std::chrono::hours::max(), giving(2));
  const int c = co_await with_timeout(std::chrono::duration<double>(1e300), giving(3));
  CHECK(a == 1);
  CHECK(b == 2);
  CHECK(c == 3);
}

// It is reached

LOOP_TEST("what takes too long throws timeout_error, and has ended by then") {
  bool ended = false;
  const auto begin = steady_clock::now();
  try {
    co_await with_timeout(5ms, cleaning_up_slowly(ended));
    FAIL("the limit was ignored");
  } catch (const rondo::timeout_error& e) {
    CHECK(e.code() == std::errc::timed_out);
    CHECK(e.deadline() >= begin + 5ms);
    CHECK(e.deadline() <= steady_clock::now());
    CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring("timed out"));
  }
  CHECK(ended);
  CHECK(steady_clock::now() - begin >= 5ms);
  CHECK(armed() == 0);
}

LOOP_TEST("a limit is measured from its await, not from the start of the turn") {
  const auto begin = steady_clock::now();
  while (steady_clock::now() - begin < 120ms) {
  }
  // The turn began longer ago than the limit allows.
  const int n = co_await with_timeout(100ms, giving(1));
  CHECK(n == 1);
}

LOOP_TEST("plain operations, tasks and combinators are all limited") {
  pipe_ends pipe;
  char byte;
  const auto reading = [&] { return rondo::io::read(pipe.out(), rondo::mutable_buffer(&byte, 1)); };
  const std::error_code read = co_await code_of(with_timeout(1ms, reading()));
  const std::error_code slept = co_await code_of(with_timeout(1ms, sleep_for(1h)));
  const std::error_code ran = co_await code_of(with_timeout(1ms, for_ever()));
  const std::error_code all =
      co_await code_of(with_timeout(1ms, rondo::when_all(for_ever(), reading(), sleep_for(1h))));
  auto spawned = rondo::spawn(for_ever());
  const std::error_code joined = co_await code_of(with_timeout(1ms, spawned.wait()));
  for (const std::error_code code : {read, slept, ran, all, joined}) {
    CHECK(code == std::errc::timed_out);
  }
  CHECK_FALSE(spawned.done());  // only the wait was limited
  CHECK(armed() == 1);          // the spawned sleeper
}

LOOP_TEST("after a timeout the task goes on, and its operations work") {
  pipe_ends pipe;
  char byte = 0;
  const rondo::mutable_buffer space(&byte, 1);
  const std::error_code code =
      co_await code_of(with_timeout(1ms, rondo::io::read(pipe.out(), space)));
  CHECK(code == std::errc::timed_out);
  co_await rondo::io::write(pipe.in(), "x");
  const std::size_t n = co_await rondo::io::read(pipe.out(), space);
  CHECK(n == 1);
  CHECK(byte == 'x');
}

LOOP_TEST("a value that comes in spite of the limit counts") {
  const int n = co_await with_timeout(1ms, stubborn(8));
  CHECK(n == 8);
  CHECK(armed() == 0);
}

LOOP_TEST("an error that comes in spite of the limit counts") {
  const std::string words = co_await words_of(with_timeout(1ms, cleaning_up_badly()));
  CHECK(words == "while cleaning up");
}

LOOP_TEST("an operation_canceled that no limit asked for is an error like any other") {
  const auto foreign = []() -> task<> {
    co_await rondo::yield();
    throw rondo::operation_canceled();
  };
  const std::error_code code = co_await code_of(with_timeout(1h, foreign()));
  CHECK(code == rondo::errc::canceled);
}

LOOP_TEST("a limit of zero or less takes what ends without waiting, and nothing else") {
  pipe_ends pipe;
  char byte = 'o';
  const rondo::mutable_buffer space(&byte, 1);
  bool ended = false;
  for (const auto limit : {0ns, -1ns, std::chrono::nanoseconds::min()}) {
    const int at_once = co_await with_timeout(limit, giving_at_once(3));
    const std::error_code slept = co_await code_of(with_timeout(limit, sleep_for(1h)));
    const std::error_code read =
        co_await code_of(with_timeout(limit, rondo::io::read(pipe.out(), space)));
    const std::error_code cleaned =
        co_await code_of(with_timeout(limit, cleaning_up_slowly(ended)));
    CHECK(at_once == 3);
    CHECK(slept == std::errc::timed_out);
    CHECK(read == std::errc::timed_out);
    CHECK(cleaned == std::errc::timed_out);
    CHECK(ended);
    CHECK(armed() == 0);
  }
  CHECK(byte == 'o');
}

// Both at once

LOOP_TEST(
    "of a limit and a sleep that are due in the same turn, the sleep wins, since it has ended") {
  for (int i = 0; i < 20; ++i) {
    const auto then = steady_clock::now() + 1ms;
    const std::error_code code = co_await code_of(
        with_timeout(then - steady_clock::now() + 100us, rondo::sleep_until(then)));
    CHECK(code == std::error_code());
    CHECK(armed() == 0);
  }
}

LOOP_TEST("a byte that comes as the limit passes is delivered or stays") {
  pipe_ends pipe;
  int delivered = 0;
  int left = 0;
  constexpr int rounds = 300;
  for (int i = 0; i < rounds; ++i) {
    char byte = 0;
    auto reading = rondo::spawn(
        code_of(with_timeout(100us, rondo::io::read(pipe.out(), rondo::mutable_buffer(&byte, 1)))));
    co_await sleep_for(std::chrono::microseconds(i));
    REQUIRE(::write(pipe.in(), "x", 1) == 1);
    const std::error_code code = co_await reading;
    if (!code) {
      CHECK(byte == 'x');
      ++delivered;
      continue;
    }
    CHECK(code == std::errc::timed_out);
    char late = 0;
    REQUIRE(::read(pipe.out(), &late, 1) == 1);
    ++left;
  }
  CHECK(delivered + left == rounds);
}

LOOP_TEST("a cancellation from outside in the turn in which the limit passes wins") {
  // The limit is due when the loop next looks at the clock; the cancellation comes before that.
  auto limited = rondo::spawn(code_of(with_timeout(20ms, for_ever())));
  co_await rondo::yield();
  const auto begin = steady_clock::now();
  while (steady_clock::now() - begin < 25ms) {
  }
  limited.cancel();
  const std::error_code code = co_await limited;
  CHECK(code == rondo::errc::canceled);
}

LOOP_TEST("a cancellation from outside after the limit has passed wins, too") {
  bool ended = false;
  auto limited = rondo::spawn(
      [](bool& flag) -> task<std::error_code> {
        co_return co_await code_of(with_timeout(1ms, cleaning_up_slowly(flag)));
      },
      std::ref(ended));
  co_await rondo::yield();
  const auto begin = steady_clock::now();
  while (steady_clock::now() - begin < 3ms) {
  }
  co_await round_trip();  // it is being canceled by its limit, and needs more turns to end
  CHECK_FALSE(ended);
  limited.cancel();
  const std::error_code code = co_await limited;
  CHECK(ended);
  CHECK(code == rondo::errc::canceled);
}

// Nested

LOOP_TEST("the tighter of two limits counts, inside or outside") {
  const auto which = [](std::chrono::nanoseconds outer,
                        std::chrono::nanoseconds inner) -> task<int> {
    const auto inside = [](std::chrono::nanoseconds limit) -> task<> {
      try {
        co_await with_timeout(limit, for_ever());
      } catch (const rondo::timeout_error&) {
        throw std::out_of_range("inner");
      }
    };
    try {
      co_await with_timeout(outer, inside(inner));
    } catch (const rondo::timeout_error&) {
      co_return 1;
    } catch (const std::out_of_range&) {
      co_return 2;
    }
    co_return 0;
  };
  const int outer = co_await which(1ms, 1h);
  const int inner = co_await which(1h, 1ms);
  CHECK(outer == 1);
  CHECK(inner == 2);
  CHECK(armed() == 0);
}

LOOP_TEST("limits around one another and around one operation leave no timer behind") {
  const int n = co_await with_timeout(1h, with_timeout(2h, with_timeout(3h, giving(5))));
  CHECK(n == 5);
  const std::error_code code =
      co_await code_of(with_timeout(3h, with_timeout(1ms, with_timeout(2h, for_ever()))));
  CHECK(code == std::errc::timed_out);
  CHECK(armed() == 0);
}

LOOP_TEST("limits of the same length around one another throw one timeout_error") {
  for (int i = 0; i < 10; ++i) {
    const std::error_code code =
        co_await code_of(with_timeout(200us, with_timeout(200us, with_timeout(200us, for_ever()))));
    CHECK(code == std::errc::timed_out);
    CHECK(armed() == 0);
  }
}

LOOP_TEST("children of a combinator have limits of their own") {
  const auto limited = [](std::chrono::nanoseconds limit) -> task<bool> {
    const std::error_code code = co_await code_of(with_timeout(limit, sleep_for(20ms)));
    co_return code == std::errc::timed_out;
  };
  const auto outcomes = co_await rondo::when_all(limited(1ms), limited(1h), limited(2ms));
  CHECK(outcomes == std::tuple(true, false, true));
}

// Cancellation, dropping

LOOP_TEST("a cancellation reaches through limits") {
  auto limited = rondo::spawn(code_of(with_timeout(1h, with_timeout(2h, for_ever()))));
  co_await rondo::yield();
  CHECK(armed() == 3);
  limited.cancel();
  const std::error_code code = co_await limited;
  CHECK(code == rondo::errc::canceled);
  CHECK(armed() == 0);
}

LOOP_TEST("a limit in a canceled scope ends as canceled, with whatever it surrounds") {
  pipe_ends pipe;
  auto limited = rondo::spawn(code_of(with_timeout(1h, rondo::io::write(pipe.in(), "x"))));
  auto at_once = rondo::spawn(code_of(with_timeout(0s, sleep_for(1h))));
  limited.cancel();
  at_once.cancel();
  const std::error_code code = co_await limited;
  const std::error_code zero = co_await at_once;
  CHECK(code == rondo::errc::canceled);
  CHECK(zero == rondo::errc::canceled);
  CHECK(armed() == 0);
  char byte;
  const std::error_code empty = co_await code_of(
      with_timeout(0s, rondo::io::read(pipe.out(), rondo::mutable_buffer(&byte, 1))));
  CHECK(empty == std::errc::timed_out);
}

LOOP_TEST("a limit that is made and dropped destroys what it surrounds, which never ran") {
  bool ran = false;
  auto argument = std::make_shared<int>(0);
  const auto body = [](bool& flag, std::shared_ptr<int>) -> task<> {
    flag = true;
    co_return;
  };
  static_cast<void>(with_timeout(1ms, body(ran, argument)));
  co_await sleep_for(2ms);
  CHECK_FALSE(ran);
  CHECK(argument.use_count() == 1);
}

LOOP_TEST("a connection that is accepted in time survives its limit") {
  const auto before = rondo_test::open_descriptors();
  {
    auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
    auto ends = co_await rondo::when_all(
        with_timeout(1h, listener.accept()),
        with_timeout(1h, rondo::tcp_stream::connect(listener.local_endpoint())));
    co_await std::get<1>(ends).write("x");
    char byte;
    const std::size_t n = co_await std::get<0>(ends).read(rondo::mutable_buffer(&byte, 1));
    CHECK(n == 1);
    const std::error_code nobody = co_await code_of(with_timeout(1ms, listener.accept()));
    CHECK(nobody == std::errc::timed_out);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

// Costs

LOOP_TEST("a limit around an operation allocates nothing") {
  pipe_ends pipe;
  char byte;
  const rondo::mutable_buffer space(&byte, 1);
  for (int i = 0; i < 10; ++i) {
    co_await with_timeout(1h, rondo::io::write(pipe.in(), "x"));
    co_await with_timeout(1h, rondo::io::read(pipe.out(), space));
  }
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 100; ++i) {
    co_await with_timeout(1h, rondo::io::write(pipe.in(), "x"));
    co_await with_timeout(1h, rondo::io::read(pipe.out(), space));
  }
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}

LOOP_TEST("a limit that is never reached costs no system call of its own") {
  auto& loop = rondo::event_loop::current();
  co_await round_trip();
  const auto calls = loop.stats().system_calls;
  for (int i = 0; i < 100; ++i) co_await with_timeout(1h, rondo::io::nop());
  CHECK(loop.stats().system_calls - calls == 100);
}
