// SPDX-License-Identifier: BSL-1.0

#include <ranges>
#include <rondo/time/timeout.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <rondo/rondo.hpp>

#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::sleep_for;
using rondo::task;
using rondo::timeout_scope;
using rondo::try_for;
using rondo::with_deadline;
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

VIRTUAL_TEST("what ends in time gives its value, and the timer is gone") {
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

VIRTUAL_TEST("what takes too long throws timeout_error, and has ended by then") {
  bool ended = false;
  const auto begin = now();
  try {
    co_await with_timeout(5ms, cleaning_up_slowly(ended));
    FAIL("the limit was ignored");
  } catch (const rondo::timeout_error& e) {
    CHECK(e.code() == std::errc::timed_out);
    CHECK(e.deadline() == begin + 5ms);
    CHECK_THAT(e.what(), Catch::Matchers::Equals("timed out: the limit has passed"));
  }
  CHECK(ended);
  CHECK(now() == begin + 5ms);
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

VIRTUAL_TEST("plain operations, tasks and combinators are all limited") {
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

VIRTUAL_TEST("after a timeout the task goes on, and its operations work") {
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

VIRTUAL_TEST("a value that comes in spite of the limit counts") {
  const int n = co_await with_timeout(1ms, stubborn(8));
  CHECK(n == 8);
  CHECK(armed() == 0);
}

VIRTUAL_TEST("an error that comes in spite of the limit counts") {
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

VIRTUAL_TEST(
    "of a limit and a sleep that are due in the same turn, the sleep wins, since it has ended") {
  const std::error_code code = co_await code_of(with_timeout(1ms, sleep_for(1ms)));
  CHECK(code == std::error_code());
  CHECK(armed() == 0);
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

VIRTUAL_TEST("a cancellation from outside after the limit has passed wins, too") {
  bool ended = false;
  auto limited = rondo::spawn(
      [](bool& flag) -> task<std::error_code> {
        co_return co_await code_of(with_timeout(1ms, cleaning_up_slowly(flag)));
      },
      std::ref(ended));
  co_await sleep_for(1ms);  // it is being canceled by its limit, and needs more turns to end
  CHECK_FALSE(ended);
  limited.cancel();
  const std::error_code code = co_await limited;
  CHECK(ended);
  CHECK(code == rondo::errc::canceled);
}

// Nested

VIRTUAL_TEST("the tighter of two limits counts, inside or outside") {
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

VIRTUAL_TEST("limits around one another and around one operation leave no timer behind") {
  const int n = co_await with_timeout(1h, with_timeout(2h, with_timeout(3h, giving(5))));
  CHECK(n == 5);
  const std::error_code code =
      co_await code_of(with_timeout(3h, with_timeout(1ms, with_timeout(2h, for_ever()))));
  CHECK(code == std::errc::timed_out);
  CHECK(armed() == 0);
}

VIRTUAL_TEST("limits of the same length around one another throw one timeout_error") {
  for (int i = 0; i < 10; ++i) {
    const std::error_code code =
        co_await code_of(with_timeout(200us, with_timeout(200us, with_timeout(200us, for_ever()))));
    CHECK(code == std::errc::timed_out);
    CHECK(armed() == 0);
  }
}

VIRTUAL_TEST("children of a combinator have limits of their own") {
  const auto limited = [](std::chrono::nanoseconds limit) -> task<bool> {
    const std::error_code code = co_await code_of(with_timeout(limit, sleep_for(20ms)));
    co_return code == std::errc::timed_out;
  };
  const auto outcomes = co_await rondo::when_all(limited(1ms), limited(21ms), limited(2ms));
  CHECK(outcomes == std::tuple(true, false, true));
}

VIRTUAL_TEST("when limits around one another pass in the same turn, one of them throws") {
  const auto due = now() + 5ms;
  bool ended = false;
  const std::error_code code = co_await code_of(
      with_deadline(due, with_deadline(due, with_deadline(due, cleaning_up_slowly(ended)))));
  CHECK(code == std::errc::timed_out);
  CHECK(ended);
  CHECK(armed() == 0);
}

VIRTUAL_TEST("of limits that pass in the same turn the outer one is the one that is thrown") {
  const auto due = now() + 5ms;
  bool inner_threw = false;
  const auto inside = [&]() -> task<> {
    try {
      co_await with_deadline(due, for_ever());
    } catch (const rondo::timeout_error&) {
      inner_threw = true;
      throw;
    }
  };
  const std::error_code code = co_await code_of(with_deadline(due, inside()));
  CHECK(code == std::errc::timed_out);
  CHECK_FALSE(inner_threw);  // inside it was the outer limit's cancellation that went on
}

VIRTUAL_TEST("a cancellation from outside wins against any number of limits that have passed") {
  const auto due = now() + 5ms;
  bool ended = false;
  auto limited = rondo::spawn(
      code_of(with_deadline(due, try_for(5ms, with_deadline(due, cleaning_up_slowly(ended))))));
  co_await rondo::sleep_until(due);  // the limits have passed, and the body is cleaning up
  CHECK_FALSE(ended);
  limited.cancel();
  const std::error_code code = co_await limited;
  CHECK(code == rondo::errc::canceled);
  CHECK(ended);
}

// In combinators: what has ended is asked for its end after the others were canceled

VIRTUAL_TEST("a limit that ends a race, or a combinator, throws timeout_error out of it") {
  const std::error_code any = co_await code_of(when_any(with_timeout(1ms, for_ever()), for_ever()));
  const std::error_code all = co_await code_of(when_all(for_ever(), with_timeout(1ms, for_ever())));
  CHECK(any == std::errc::timed_out);
  CHECK(all == std::errc::timed_out);
  const auto first = co_await when_any(for_ever(), try_for(1ms, for_ever()));
  REQUIRE(first.index() == 1);
  CHECK_FALSE(std::get<1>(first));
  CHECK(armed() == 0);
}

VIRTUAL_TEST("a limit that ends a range throws timeout_error out of it") {
  using limited = decltype(with_timeout(1ms, for_ever()));
  const auto both = [] {
    std::vector<limited> range;
    range.push_back(with_timeout(1ms, for_ever()));
    range.push_back(with_timeout(1h, for_ever()));
    return range;
  };
  const std::error_code all = co_await code_of(when_all(both()));
  const std::error_code lanes = co_await code_of(when_all(both(), rondo::max_concurrency{2}));
  CHECK(all == std::errc::timed_out);
  CHECK(lanes == std::errc::timed_out);
  CHECK(armed() == 0);
}

// with_deadline

VIRTUAL_TEST("with_deadline gives what ends before the deadline, and throws it otherwise") {
  const auto then = now() + 5ms;
  const int n = co_await with_deadline(then + 1h, giving(3));
  CHECK(n == 3);
  try {
    co_await with_deadline(then, for_ever());
    FAIL("the deadline was ignored");
  } catch (const rondo::timeout_error& e) {
    CHECK(e.deadline() == then);
    CHECK(now() == then);
  }
  CHECK(armed() == 0);
}

LOOP_TEST("a deadline that has passed takes what ends without waiting, and nothing else") {
  for (const auto past : {steady_clock::now() - 1h, rondo::time_point::min()}) {
    const int n = co_await with_deadline(past, giving_at_once(4));
    const std::error_code code = co_await code_of(with_deadline(past, rondo::yield()));
    CHECK(n == 4);
    CHECK(code == std::errc::timed_out);
  }
  const int n = co_await with_deadline(rondo::time_point::max(), giving(5));
  CHECK(n == 5);
  CHECK(armed() == 0);
}

// A body that sees its limit

VIRTUAL_TEST("a body can look at its limit, and move it away") {
  const auto body = [](timeout_scope& limit, rondo::time_point start) -> task<int> {
    CHECK_FALSE(limit.expired());
    CHECK(limit.deadline() == start + 1h);
    co_await rondo::yield();
    CHECK(limit.deadline() == start + 1h);
    const auto near = now() + 5ms;
    limit.reschedule(near);
    CHECK(limit.deadline() == near);
    const auto far = near + 1h;
    limit.reschedule(far);
    CHECK(limit.deadline() == far);
    co_await rondo::sleep_until(near + 5ms);
    CHECK_FALSE(limit.expired());
    co_return 6;
  };
  const int n = co_await with_timeout(1h, body, now());
  CHECK(n == 6);
  CHECK(armed() == 0);
}

VIRTUAL_TEST("a limit that is moved before the body waits is moved") {
  const auto away = [](timeout_scope& limit) -> task<int> {
    limit.reschedule(now() + 1h);
    co_await sleep_for(3ms);
    co_return 7;
  };
  const auto near = [](timeout_scope& limit) -> task<> {
    limit.reschedule(now() + 1ms);
    CHECK(limit.deadline() == now() + 1ms);
    co_await for_ever();
  };
  const int n = co_await with_timeout(1ms, away);
  CHECK(n == 7);
  const std::error_code code = co_await code_of(with_timeout(1h, near));
  CHECK(code == std::errc::timed_out);
  CHECK(armed() == 0);
}

VIRTUAL_TEST("a limit that is moved nearer passes then, and says so to the body") {
  rondo::time_point moved;
  bool expired = false;
  const auto body = [&](timeout_scope& limit) -> task<> {
    co_await rondo::yield();
    moved = now() + 2ms;
    limit.reschedule(moved);
    try {
      co_await for_ever();
    } catch (const rondo::operation_canceled&) {
      expired = limit.expired();
      limit.reschedule(now() + 1h);  // too late
      throw;
    }
  };
  try {
    co_await with_timeout(1h, body);
    FAIL("the limit was ignored");
  } catch (const rondo::timeout_error& e) {
    CHECK(e.deadline() == moved);
  }
  CHECK(expired);
  CHECK(armed() == 0);
}

VIRTUAL_TEST("a limit that is moved into the past ends the body, before or after it has waited") {
  const auto body = [](timeout_scope& limit, bool waits) -> task<> {
    if (waits) co_await rondo::yield();
    limit.reschedule(now() - 1h);
    co_await for_ever();
  };
  const std::error_code at_once = co_await code_of(with_timeout(1h, body, false));
  const std::error_code later = co_await code_of(with_timeout(1h, body, true));
  CHECK(at_once == std::errc::timed_out);
  CHECK(later == std::errc::timed_out);
  CHECK(armed() == 0);
}

LOOP_TEST("a limit that is moved to the beginning of time ends the body, too") {
  const auto body = [](timeout_scope& limit) -> task<> {
    co_await rondo::yield();
    limit.reschedule(rondo::time_point::min());
    co_await for_ever();
  };
  const std::error_code code = co_await code_of(with_timeout(1h, body));
  CHECK(code == std::errc::timed_out);
}

LOOP_TEST("a body that sees its limit of zero is ended where it first waits, or moves the limit") {
  bool went_on = false;
  const auto waits = [&](timeout_scope&) -> task<> {
    co_await rondo::yield();
    went_on = true;
  };
  const auto moves = [](timeout_scope& limit) -> task<int> {
    limit.reschedule(steady_clock::now() + 1h);
    co_await sleep_for(1ms);
    co_return 2;
  };
  const auto at_once = [](timeout_scope& limit) -> task<int> {
    CHECK(limit.deadline() <= steady_clock::now());
    co_return 1;
  };
  auto sleeper = rondo::spawn(for_ever());  // so that the loop has looked at the clock in this turn
  co_await round_trip();
  const std::error_code code = co_await code_of(with_timeout(0s, waits));
  const int one = co_await with_timeout(-1s, at_once);
  const int two = co_await with_timeout(0s, moves);
  CHECK(code == std::errc::timed_out);
  CHECK_FALSE(went_on);
  CHECK(one == 1);
  CHECK(two == 2);
  CHECK(armed() == 1);  // the sleeper's
}

VIRTUAL_TEST("with_deadline takes a body, too") {
  const auto then = now() + 3ms;
  const auto body = [](timeout_scope& limit, rondo::time_point expected) -> task<> {
    CHECK(limit.deadline() == expected);
    co_await for_ever();
  };
  const std::error_code code = co_await code_of(with_deadline(then, body, then));
  CHECK(code == std::errc::timed_out);
  CHECK(now() == then);
}

LOOP_TEST("a body and its arguments are kept until it has ended") {
  auto owner = std::make_shared<int>(3);
  const auto body = [owner](timeout_scope&, std::unique_ptr<int> n,
                            const std::string& text) -> task<std::string> {
    co_await rondo::yield();
    co_return text + std::to_string(*n + *owner);
  };
  std::string given = "kept ";
  auto limited = with_timeout(1h, body, std::make_unique<int>(4), std::as_const(given));
  given = "changed ";
  const std::string text = co_await std::move(limited);
  CHECK(text == "kept 7");
  CHECK(owner.use_count() == 2);  // the named body's
}

VIRTUAL_TEST("a body's own end, value, error or cancellation, is told as without a limit") {
  int there = 0;
  const auto refers = [](timeout_scope&, int& n) -> task<int&> { co_return n; };
  int& same = co_await with_timeout(1h, refers, std::ref(there));
  CHECK(&same == &there);
  const auto fails = [](timeout_scope&) -> task<> { co_await failing(); };
  const std::string words = co_await words_of(with_timeout(1h, fails));
  CHECK(words == "its own error");
  const auto answers = [](timeout_scope&) -> task<int> { co_return co_await stubborn(9); };
  const int n = co_await with_timeout(1ms, answers);
  CHECK(n == 9);
  const auto waits = [](timeout_scope&) -> task<> { co_await for_ever(); };
  auto limited = rondo::spawn(code_of(with_timeout(1h, waits)));
  co_await rondo::yield();
  limited.cancel();
  const std::error_code code = co_await limited;
  CHECK(code == rondo::errc::canceled);
}

// try_for

VIRTUAL_TEST("of several that are to end in whatever way, the limit leaves those that have ended") {
  std::vector<task<int>> all;
  all.push_back(giving(3));
  all.push_back([]() -> task<int> {
    co_await for_ever();
    co_return 4;
  }());
  const auto results = co_await with_timeout(1s, rondo::when_all_settled(std::move(all)));
  CHECK(results[0].value() == 3);
  CHECK(results[1].error() == rondo::errc::canceled);
  CHECK(armed() == 0);
}

VIRTUAL_TEST("try_for gives an optional, empty when time was up, and a bool for void") {
  const std::optional<int> in_time = co_await try_for(1h, giving(3));
  const std::optional<int> late = co_await try_for(1ms, []() -> task<int> {
    co_await for_ever();
    co_return 1;
  }());
  const auto moved = co_await try_for(1h, giving(std::make_unique<int>(7)));
  int there = 0;
  const std::optional<std::reference_wrapper<int>> same = co_await try_for(1h, referring(there));
  const bool done = co_await try_for(1h, rondo::yield());
  const bool given_up = co_await try_for(1ms, for_ever());
  CHECK(in_time == 3);
  CHECK_FALSE(late.has_value());
  REQUIRE(moved.has_value());
  CHECK(**moved == 7);
  REQUIRE(same.has_value());
  CHECK(&same->get() == &there);
  CHECK(done);
  CHECK_FALSE(given_up);
  CHECK(armed() == 0);
}

VIRTUAL_TEST("try_for takes a body, which can look at its limit and move it") {
  const auto begin = now();
  const auto wait = [begin](timeout_scope& limit, std::chrono::milliseconds longer,
                            int n) -> task<int> {
    if (longer > 0ms) limit.reschedule(limit.deadline() + longer);
    co_await rondo::sleep_until(begin + 2s);
    co_return n;
  };
  const std::optional<int> late = co_await try_for(1s, wait, 0ms, 1);
  CHECK_FALSE(late.has_value());
  CHECK(now() == begin + 1s);
  const std::optional<int> in_time = co_await try_for(500ms, wait, 1s, 2);
  CHECK(in_time == 2);
  CHECK(now() == begin + 2s);
  const auto forever = [](timeout_scope&) -> task<> { co_await for_ever(); };
  const bool done = co_await try_for(1ms, forever);
  CHECK_FALSE(done);
  const auto fails = [](timeout_scope&) -> task<> { co_await failing(); };
  const std::string words = co_await words_of(try_for(1h, fails));
  CHECK(words == "its own error");
  CHECK(armed() == 0);
}

LOOP_TEST("try_for with no time takes what ends without waiting") {
  const std::optional<int> at_once = co_await try_for(0s, giving_at_once(3));
  const std::optional<int> later = co_await try_for(0s, giving(3));
  CHECK(at_once == 3);
  CHECK_FALSE(later.has_value());
}

VIRTUAL_TEST("what comes in spite of the limit is what try_for gives") {
  const std::optional<int> value = co_await try_for(1ms, stubborn(8));
  CHECK(value == 8);
  const std::string words = co_await words_of(try_for(1ms, cleaning_up_badly()));
  CHECK(words == "while cleaning up");
}

VIRTUAL_TEST("try_for throws errors, timeouts inside it among them") {
  const std::string words = co_await words_of(try_for(1h, failing()));
  CHECK(words == "its own error");
  const std::error_code inner = co_await code_of(try_for(1h, with_timeout(1ms, for_ever())));
  CHECK(inner == std::errc::timed_out);
}

VIRTUAL_TEST("try_for does not hide a cancellation") {
  bool ended = false;
  bool went_on = false;
  const auto body = [](bool& cleaned, bool& after) -> task<> {
    static_cast<void>(co_await try_for(1ms, cleaning_up_slowly(cleaned)));
    after = true;
  };
  auto limited = rondo::spawn(code_of(body(ended, went_on)));
  co_await sleep_for(1ms);
  CHECK_FALSE(ended);
  limited.cancel();
  const std::error_code code = co_await limited;
  CHECK(code == rondo::errc::canceled);
  CHECK(ended);
  CHECK_FALSE(went_on);
}

VIRTUAL_TEST("a shield inside a limit is waited for, and what it gives counts") {
  const auto begin = now();
  const auto slow = [](rondo::time_point until) -> task<int> {
    co_await rondo::sleep_until(until);
    co_return 4;
  };
  const int n = co_await with_timeout(1ms, rondo::shield(slow(begin + 10ms)));
  CHECK(n == 4);
  CHECK(now() == begin + 10ms);
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

VIRTUAL_TEST("a limit that is made and dropped destroys what it surrounds, which never ran") {
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

LOOP_TEST("try_for around an operation allocates nothing, in time or not") {
  pipe_ends pipe;
  char byte;
  const rondo::mutable_buffer space(&byte, 1);
  std::size_t during = 0;
  for (const int rounds : {10, 100}) {
    const auto before = rondo_test::allocations();
    for (int i = 0; i < rounds; ++i) {
      const auto nothing = co_await try_for(0s, rondo::io::read(pipe.out(), space));
      const auto written = co_await try_for(1h, rondo::io::write(pipe.in(), "x"));
      const auto read = co_await try_for(1h, rondo::io::read(pipe.out(), space));
      if (nothing.has_value() || written != 1 || read != 1) during = 1000;
    }
    during += rondo_test::allocations() - before;
    if (rounds == 10) during = during < 1000 ? 0 : during;  // the first ones make room
  }
  CHECK(during == 0);
}

LOOP_TEST("a limit that is never reached costs no system call of its own") {
  auto& loop = rondo::event_loop::current();
  co_await round_trip();
  const auto calls = loop.stats().system_calls;
  for (int i = 0; i < 100; ++i) co_await with_timeout(1h, rondo::io::nop());
  CHECK(loop.stats().system_calls - calls == 100);
}

LOOP_TEST("the arguments of a body stay where a task finds them, in a range that is made as it goes, too") {
  using namespace rondo;
  const auto size_of = [](timeout_scope&, const std::string& name) -> task<std::size_t> {
    co_await yield();
    co_return name.size();
  };
  auto all = std::views::iota(0, 3) | std::views::transform([&](int i) {
               return with_timeout(3600s, size_of, std::string(static_cast<std::size_t>(50 + i), 'x'));
             });
  const auto sizes = co_await when_all(all, max_concurrency{2});
  CHECK(sizes == std::vector<std::size_t>{50, 51, 52});
}

VIRTUAL_TEST("a limit waits for what was left behind under it") {
  bool ended = false;
  const auto slow = [&]() -> task<> {
    co_await rondo::as_result(rondo::sleep_for(1h));
    co_await rondo::shield(rondo::sleep_for(5ms));
    ended = true;
  };
  const auto drops = [&]() -> task<> {
    std::vector<task<>> all;
    all.push_back(slow());
    auto stream = rondo::as_completed(std::move(all));
    co_await rondo::try_for(1ms, stream.next());
  };
  co_await rondo::with_timeout(1s, drops());
  CHECK(ended);
  ended = false;
  const bool in_time = co_await rondo::try_for(3ms, drops());
  CHECK(ended);
  CHECK(in_time);
}
