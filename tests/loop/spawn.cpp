// SPDX-License-Identifier: BSL-1.0

#include <rondo/loop/spawn.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "loop/tasks.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::join_handle;
using rondo::spawn;
using rondo::task;

namespace {

template <typename T>
task<T> giving_at_once(T value) {
  co_return value;
}
task<> waiting_for(join_handle<>& h) { co_await h; }

/// A loop that keeps what it reports: "name: message".
struct reporting_loop {
  std::vector<std::string> reports;
  rondo::event_loop loop{options()};
  rondo::loop_options options() {
    rondo::loop_options o;
    o.on_unhandled = [this](const rondo::unhandled_error& e) {
      CHECK(e.what == rondo::unhandled_error::kind::spawned);
      CHECK(e.error != nullptr);
      reports.push_back(std::string(e.name) + ": " + e.message);
    };
    return o;
  }
};

}  // namespace

static_assert(!std::is_copy_constructible_v<join_handle<>>);
static_assert(std::is_nothrow_move_constructible_v<join_handle<int>>);
static_assert(std::is_nothrow_move_assignable_v<join_handle<int>>);
static_assert(rondo::awaitable<join_handle<int>>);
static_assert(rondo::awaitable<join_handle<int>&>);

// Starting

LOOP_TEST("a spawned task starts on the next turn, and not before") {
  bool started = false;
  const auto body = [](bool& flag) -> task<> {
    flag = true;
    co_return;
  };
  const auto h = spawn(body(started));
  CHECK_FALSE(started);
  CHECK_FALSE(h.done());
  co_await rondo::yield();
  CHECK(started);
  CHECK(h.done());
}

LOOP_TEST("spawned tasks start in the order in which they were spawned") {
  std::string log;
  const auto noting = [](std::string& l, char name) -> task<> {
    l += name;
    co_return;
  };
  for (const char name : {'a', 'b', 'c', 'd'}) static_cast<void>(spawn(noting(log, name)));
  co_await rondo::yield();
  CHECK(log == "abcd");
}

// Results

LOOP_TEST("a handle gives the value of its task, before and after that has ended") {
  auto early = spawn(giving(1));
  const int first = co_await early;
  auto late = spawn(giving(std::make_unique<int>(2)));
  while (!late.done()) co_await rondo::yield();
  const auto second = co_await late;
  auto temporary = co_await spawn(giving_at_once(std::string("three")));
  auto nothing = spawn(rondo::test::round_trip());
  co_await nothing;
  int there = 0;
  auto reference = spawn(
      [](int& n) -> task<int&> {
        co_await rondo::yield();
        co_return n;
      },
      std::ref(there));
  int& same = co_await reference;
  struct counter {
    int n;
    task<int> and_more(int more) {
      co_await rondo::yield();
      co_return n += more;
    }
  };
  counter seven{7};
  const int by_member = co_await spawn(&counter::and_more, &seven, 3);
  CHECK(by_member == 10);
  CHECK(first == 1);
  CHECK(*second == 2);
  CHECK(temporary == "three");
  CHECK(&same == &there);
}

LOOP_TEST("a handle rethrows the error of its task") {
  auto h = spawn(throwing());
  const std::string words = co_await words_of(std::move(h));
  CHECK(words == "it failed");
}

LOOP_TEST("a handle gives its result once, and says so") {
  auto h = spawn(giving(1));
  const int n = co_await h;
  CHECK(n == 1);
  const auto await_it = [](join_handle<int>& again) -> task<int> { co_return co_await again; };
  const std::string words = co_await words_of(await_it(h));
  CHECK_THAT(words, Catch::Matchers::ContainsSubstring("gives its result once"));
  co_await h.wait();  // that consumes nothing, and is allowed

  auto failed = spawn(throwing());
  const std::string first = co_await words_of(waiting_for(failed));
  const std::string second = co_await words_of(waiting_for(failed));
  CHECK(first == "it failed");
  CHECK_THAT(second, Catch::Matchers::ContainsSubstring("gives its result once"));
}

LOOP_TEST("who waits for the first of several handles leaves the other tasks running") {
  rondo::event go_on;
  auto first = spawn(giving_at_once(1));
  auto second = spawn([](rondo::event& until) -> task<int> {
    co_await until.wait();
    co_return 2;
  }(go_on));
  const auto ended = co_await rondo::when_any(first.wait(), second.wait());
  CHECK(ended.index() == 0);
  CHECK_FALSE(second.done());
  go_on.set();
  const int one = co_await std::move(first);
  const int two = co_await std::move(second);
  CHECK(one == 1);
  CHECK(two == 2);
}

LOOP_TEST("an empty handle says so when it is awaited, and is done") {
  join_handle<> none;
  CHECK(none.done());
  CHECK(none.name().empty());
  none.cancel();
  CHECK_THROWS_AS(none.wait(), std::logic_error);
  const std::string words = co_await words_of(waiting_for(none));
  CHECK_THAT(words, Catch::Matchers::ContainsSubstring("empty join_handle"));
  auto h = spawn(giving(1));
  const join_handle<int> moved(std::move(h));
  CHECK(h.done());
  CHECK_FALSE(moved.done());
}

LOOP_TEST("several tasks wait for one handle, and one of them gets the result") {
  auto h = spawn(giving(5));
  const auto take = [](join_handle<int>& from) -> task<int> {
    try {
      co_return co_await from;
    } catch (const std::logic_error&) {
      co_return -1;
    }
  };
  const auto wait = [](join_handle<int>& on) -> task<bool> {
    co_await on.wait();
    co_return on.done();
  };
  const auto all = co_await rondo::when_all(wait(h), take(h), take(h), wait(h));
  CHECK(all == std::tuple(true, 5, -1, true));
}

// Detached

TEST_CASE("the error of a task whose handle was dropped is reported, before it ends or after") {
  reporting_loop r;
  const auto body = []() -> task<> {
    static_cast<void>(spawn(throwing(), {.name = "early"}));
    {
      const auto h = spawn(throwing(), {.name = "late"});
      while (!h.done()) co_await rondo::yield();
    }
    for (int i = 0; i < 5; ++i) co_await rondo::yield();
  };
  r.loop.run(body());
  std::sort(r.reports.begin(), r.reports.end());
  CHECK(r.reports == std::vector<std::string>{"early: it failed", "late: it failed"});
}

TEST_CASE("an error that somebody took is not reported, nor is a value, nor a cancellation") {
  reporting_loop r;
  const auto body = []() -> task<> {
    {
      auto h = spawn(throwing());
      const std::string words = co_await words_of(waiting_for(h));
      CHECK(words == "it failed");
    }
    static_cast<void>(spawn(giving(1)));
    auto canceled = spawn(for_ever());
    co_await rondo::yield();
    canceled.cancel();
    canceled = join_handle<>();
    static_cast<void>(spawn(for_ever()));  // the end of the run cancels it
    for (int i = 0; i < 5; ++i) co_await rondo::yield();
  };
  r.loop.run(body());
  CHECK(r.reports.empty());
}

TEST_CASE("an error that a handle was only waited for is reported when the handle goes") {
  reporting_loop r;
  const auto body = [](std::vector<std::string>& reports) -> task<> {
    {
      auto h = spawn(throwing(), {.name = "seen"});
      co_await h.wait();
      CHECK(reports.empty());
    }
    CHECK(reports.size() == 1);
  };
  r.loop.run(body(r.reports));
  CHECK(r.reports == std::vector<std::string>{"seen: it failed"});
}

TEST_CASE("a task that is canceled and answers with an error of its own is reported") {
  reporting_loop r;
  const auto failing_at_the_end = []() -> task<> {
    const std::error_code code = co_await code_of(for_ever());
    CHECK(code == rondo::errc::canceled);
    throw std::runtime_error("while cleaning up");
  };
  const auto body = [failing_at_the_end]() -> task<> {
    static_cast<void>(spawn(failing_at_the_end()));
    co_await rondo::yield();
  };
  r.loop.run(body());
  CHECK(r.reports == std::vector<std::string>{": while cleaning up"});
}

LOOP_TEST("a dropped handle lets its task go on") {
  bool ended = false;
  const auto body = [](bool& flag) -> task<> {
    for (int i = 0; i < 10; ++i) co_await round_trip();
    flag = true;
  };
  { const auto dropped = spawn(body(ended)); }
  co_await until([&ended] { return ended; });
  CHECK(ended);
}

// Cancellation

LOOP_TEST("a task that is canceled ends, and whoever awaits it gets an ordinary error") {
  auto h = spawn(for_ever());
  co_await rondo::yield();
  h.cancel();
  h.cancel();
  CHECK_FALSE(h.done());
  const std::error_code code = co_await code_of(std::move(h));
  CHECK(code == rondo::errc::canceled);
  co_await rondo::io::nop();  // this task was not canceled
}

LOOP_TEST("a task that was canceled before its first turn runs up to its first operation") {
  std::string log;
  const auto body = [](std::string& l) -> task<> {
    l += "started";
    co_await rondo::io::nop();
    l += ", went on";
  };
  auto h = spawn(body(log));
  h.cancel();
  const std::error_code code = co_await code_of(std::move(h));
  CHECK(code == rondo::errc::canceled);
  CHECK(log == "started");
}

LOOP_TEST("canceling a task that has ended does nothing") {
  auto h = spawn(giving(3));
  while (!h.done()) co_await rondo::yield();
  h.cancel();
  const int n = co_await h;
  CHECK(n == 3);
}

LOOP_TEST("a task may cancel itself, and ends at its next operation") {
  join_handle<> h;
  const auto body = [](join_handle<>& me) -> task<> {
    me.cancel();
    co_await rondo::io::nop();
    FAIL("it went on");
  };
  h = spawn(body(h));
  const std::error_code code = co_await code_of(h.wait());
  CHECK(code == std::error_code());
  const std::error_code result = co_await code_of(std::move(h));
  CHECK(result == rondo::errc::canceled);
}

LOOP_TEST(
    "whoever is canceled while it waits leaves the task alone, and the handle can be awaited") {
  const rondo::oneshot<int> answer;
  const auto ask = [](rondo::oneshot<int> from) -> task<int> { co_return co_await from.wait(); };
  auto h = spawn(ask(answer));
  const auto take = [](join_handle<int>& from) -> task<int> { co_return co_await from; };
  const std::error_code awaiting = co_await code_of(rondo::with_timeout(100us, take(h)));
  const std::error_code waiting = co_await code_of(rondo::with_timeout(100us, h.wait()));
  auto refused = spawn(code_of(h.wait()));
  refused.cancel();
  const std::error_code refusal = co_await refused;
  answer.set_value(6);
  const int n = co_await h;
  CHECK(awaiting == std::errc::timed_out);
  CHECK(waiting == std::errc::timed_out);
  CHECK(refusal == rondo::errc::canceled);
  CHECK(n == 6);
}

LOOP_TEST("a task that waits for its own end waits until it is canceled") {
  join_handle<> h;
  h = spawn(waiting_for(h));
  co_await rondo::yield();
  CHECK_FALSE(h.done());
  h.cancel();
  co_await h.wait();
  CHECK(h.done());
}

// Callables, names

LOOP_TEST("spawn keeps a callable and its arguments for as long as the task runs") {
  auto argument = std::make_shared<int>(1);
  auto captured = std::make_shared<int>(2);
  auto h = spawn(
      [captured](std::shared_ptr<int> a, const std::string& text) -> task<std::string> {
        for (int i = 0; i < 5; ++i) co_await round_trip();
        co_return std::to_string(*captured) + std::to_string(*a) + text;
      },
      argument, std::string("text"));
  co_await rondo::yield();
  CHECK(captured.use_count() == 2);
  CHECK(argument.use_count() == 2);
  const std::string all = co_await h;
  CHECK(all == "21text");
  h = {};
  co_await rondo::yield();
  CHECK(captured.use_count() == 1);
  CHECK(argument.use_count() == 1);
}

LOOP_TEST("a task has the name that it was given, which was copied") {
  std::string name = "a name that does not fit into the inside of a string";
  const std::string same = name;
  auto h = spawn(giving(1), {.name = name});
  auto by_callable = spawn(rondo::spawn_options{.name = name}, [] { return giving(2); });
  auto unnamed = spawn(giving(3));
  name.assign(name.size(), 'x');
  CHECK(h.name() == same);
  CHECK(by_callable.name() == same);
  CHECK(unnamed.name().empty());
  const int n = co_await by_callable;
  CHECK(n == 2);
}

// Lifetimes

TEST_CASE("a handle outlives its loop, and still gives the value") {
  const auto await_it = [](join_handle<std::string> h) -> task<std::string> {
    co_return co_await h;
  };
  std::optional<join_handle<std::string>> kept;
  {
    rondo::event_loop loop;
    kept = loop.spawn(giving(std::string("kept")));
    loop.run(yields(5));
    CHECK(kept->done());
  }
  CHECK(kept->done());
  CHECK(rondo::run(await_it(std::move(*kept))) == "kept");
}

TEST_CASE("handles outlive their loop, whether their tasks ended, were canceled or never began") {
  const auto live = rondo_test::live_blocks();
  {
    join_handle<int> ended;
    join_handle<> canceled;
    join_handle<> never_began;
    {
      rondo::event_loop loop;
      ended = loop.spawn(giving(1));
      canceled = loop.spawn(for_ever());
      loop.run(yields(5));
      never_began = loop.spawn(for_ever());
    }
    CHECK(ended.done());
    CHECK(canceled.done());
    CHECK(never_began.done());
    never_began.cancel();
    canceled = join_handle<>();
  }
  if constexpr (RONDO_FRAME_POOL == 0) CHECK(rondo_test::live_blocks() == live);
}

LOOP_TEST("what a task leaves is destroyed when it ends or with its handle, exactly once") {
  auto value = std::make_shared<int>(1);
  {
    const auto h = spawn(giving(value));
    while (!h.done()) co_await rondo::yield();
    CHECK(value.use_count() >= 2);  // the result waits
  }
  for (int i = 0; i < 3; ++i) co_await rondo::yield();
  CHECK(value.use_count() == 1);
  { const auto dropped_early = spawn(giving(value)); }
  for (int i = 0; i < 5; ++i) co_await rondo::yield();
  CHECK(value.use_count() == 1);
}

LOOP_TEST("ten thousand tasks are spawned and joined, in reverse") {
  std::vector<join_handle<int>> handles;
  for (int i = 0; i < 10'000; ++i) handles.push_back(spawn(giving(i)));
  int right = 0;
  for (int i = 9'999; i >= 0; --i) {
    const int n = co_await handles[static_cast<std::size_t>(i)];
    right += n == i ? 1 : 0;
  }
  CHECK(right == 10'000);
}

LOOP_TEST("a chain of tasks each of which waits for the one before ends, however long") {
  const auto after = [](join_handle<int> before) -> task<int> {
    // An argument lives as long as what the task gave, and so would the whole chain: it would be
    // destroyed by recursion.
    join_handle<int> mine = std::move(before);
    const int n = co_await mine;
    co_return n + 1;
  };
  auto last = spawn(giving(0));
  for (int i = 0; i < 20'000; ++i) last = spawn(after(std::move(last)));
  const int n = co_await last;
  CHECK(n == 20'000);
}

TEST_CASE(
    "an error whose handle outlives the loop is reported when the loop goes, and can be taken "
    "later") {
  std::vector<std::string> reports;
  join_handle<> kept;
  {
    rondo::loop_options options;
    options.on_unhandled = [&](const rondo::unhandled_error& e) { reports.emplace_back(e.name); };
    rondo::event_loop loop(options);
    kept = loop.spawn(throwing(), {.name = "kept"});
    loop.run(yields(5));
    CHECK(reports.empty());
  }
  CHECK(reports.size() == 1);
  int caught = 0;
  try {
    rondo::run(kept);
  } catch (const std::runtime_error&) {
    ++caught;
  }
  CHECK(caught == 1);
  kept = join_handle<>();
  CHECK(reports.size() == 1);
}

LOOP_TEST("an operation can be spawned as it is") {
  auto pause = spawn(rondo::sleep_for(1ms), {.name = "pause"});
  CHECK(pause.name() == "pause");
  co_await pause;
  const auto body = [](rondo::task_group& group) -> task<> {
    auto nop = group.spawn(rondo::io::nop());
    co_await nop;
  };
  co_await rondo::with_task_group(body);
  auto both = spawn(rondo::when_all(giving_at_once(1), giving_at_once(2)));
  const auto [a, b] = co_await both;
  CHECK(a + b == 3);
}
