// SPDX-License-Identifier: BSL-1.0

#include <rondo/process/signals.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <rondo/loop/run.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

using handler = void (*)(int);

handler disposition(int number) {
  struct sigaction now {};
  ::sigaction(number, nullptr, &now);
  return now.sa_handler;
}
task<std::optional<int>> next_of(signal_stream& s) { co_return co_await s.next(); }

int seen_by_handler = 0;
void count_it(int) { ++seen_by_handler; }

}  // namespace

LOOP_TEST("signals come in the order in which they were sent") {
  signal_stream stream = signals({SIGUSR1, SIGUSR2});
  for (const int number : {SIGUSR2, SIGUSR1, SIGUSR1, SIGUSR2}) ::raise(number);
  for (const int number : {SIGUSR2, SIGUSR1, SIGUSR1, SIGUSR2}) {
    const auto signal = co_await stream.next();
    CHECK(signal == std::optional<int>(number));
  }
  auto waiting = spawn(next_of(stream));
  co_await round_trip();
  ::kill(::getpid(), SIGUSR1);
  const auto signal = co_await waiting;
  CHECK(signal == std::optional<int>(SIGUSR1));
}

TEST_CASE("signals of a program without standard input and output take their numbers for nothing") {
  int closed = 0;
  {
    const rondo_test::without_standard_streams here;
    const auto stream = rondo::signals(SIGUSR1);
    closed = here.closed();
  }
  CHECK(closed == 3);
}

LOOP_TEST("they are caught from the call on, and braces read well inside an await") {
  signal_stream one = signals(SIGUSR1);
  signal_stream two = signals({SIGUSR1});
  ::raise(SIGUSR1);
  const auto both = co_await when_all(one.next(), two.next());
  CHECK(std::get<0>(both) == std::optional<int>(SIGUSR1));
  CHECK(std::get<1>(both) == std::optional<int>(SIGUSR1));
  const auto first_of = [](signal_stream stream) -> task<std::optional<int>> {
    ::raise(SIGUSR2);
    co_return co_await stream.next();
  };
  const auto braces = co_await first_of(signals({SIGUSR1, SIGUSR2}));
  CHECK(braces == std::optional<int>(SIGUSR2));
}

LOOP_TEST("a next that is canceled, or loses a race, loses no signal") {
  signal_stream first = signals({SIGUSR1});
  signal_stream second = signals({SIGUSR1});
  const auto none = co_await try_for(1ms, first.next());
  CHECK_FALSE(none.has_value());
  for (int i = 0; i < 20; ++i) {
    ::raise(SIGUSR1);
    const auto won = co_await when_any(first.next(), second.next());
    auto& other = won.index() == 0 ? second : first;
    const auto signal = co_await with_timeout(1s, other.next());
    CHECK(signal == std::optional<int>(SIGUSR1));
  }
  const auto more = co_await try_for(1ms, when_any(first.next(), second.next()));
  CHECK_FALSE(more.has_value());
}

LOOP_TEST("a thousand signals are kept for a stream that does not look") {
  signal_stream stream = signals({SIGUSR1});
  for (int i = 0; i < 1000; ++i) ::raise(SIGUSR1);
  for (int i = 0; i < 1000; ++i) {
    const auto signal = co_await with_timeout(1s, stream.next());
    REQUIRE(signal == std::optional<int>(SIGUSR1));
  }
  const auto more = co_await try_for(1ms, stream.next());
  CHECK_FALSE(more.has_value());
}

LOOP_TEST("the last stream that goes puts back what a signal did before") {
  ::signal(SIGUSR1, &count_it);
  seen_by_handler = 0;
  {
    auto first = std::make_unique<signal_stream>(signals({SIGUSR1, SIGUSR2}));
    signal_stream second = signals({SIGUSR1});
    first = nullptr;
    CHECK(disposition(SIGUSR2) == SIG_DFL);
    ::raise(SIGUSR1);
    const auto signal = co_await second.next();
    CHECK(signal == std::optional<int>(SIGUSR1));
    CHECK(seen_by_handler == 0);
  }
  CHECK(disposition(SIGUSR1) == &count_it);
  ::raise(SIGUSR1);
  CHECK(seen_by_handler == 1);
  {
    signal_stream stream = signals({SIGUSR1});
    ::signal(SIGUSR1, SIG_IGN);  // somebody else's, since then
    co_await stream.close();
  }
  CHECK(disposition(SIGUSR1) == SIG_IGN);
  ::signal(SIGUSR1, SIG_DFL);
}

LOOP_TEST("close ends the stream, and a next that another task awaits") {
  const auto before = rondo_test::open_descriptors();
  {
    signal_stream stream = signals({SIGUSR1});
    auto waiting = spawn(next_of(stream));
    co_await round_trip();
    co_await stream.close();
    const auto none = co_await waiting;
    CHECK_FALSE(none.has_value());
    const auto again = co_await stream.next();
    CHECK_FALSE(again.has_value());
    CHECK(disposition(SIGUSR1) == SIG_DFL);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("what cannot be caught, and what is no signal, is an error that changes nothing") {
  const auto before = rondo_test::open_descriptors();
  for (const int number : {SIGKILL, SIGSTOP, 0, -1, 65, 1000}) {
    CAPTURE(number);
    try {
      static_cast<void>(signals({SIGUSR1, number}));
      FAIL("caught");
    } catch (const std::system_error& e) {
      CHECK(e.code() == std::errc::invalid_argument);
      CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring("signals: "));
    }
    CHECK(disposition(SIGUSR1) == SIG_DFL);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("without a free descriptor there is no stream") {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const descriptor lowest(::dup(0));
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(lowest.native_handle()) + 1;
  ::setrlimit(RLIMIT_NOFILE, &low);
  std::error_code code;
  try {
    static_cast<void>(signals({SIGUSR1}));
  } catch (const std::system_error& e) {
    code = e.code();
  }
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(code == std::errc::too_many_files_open);
  CHECK(disposition(SIGUSR1) == SIG_DFL);
}

// run

// In processes of their own, where SIGINT is at its default.

ON_BOTH_RINGS("while a stream for SIGINT exists, Ctrl-C is its business, and afterwards it cancels again", {
  const auto test = []() -> task<int> {
    {
      signal_stream stream = signals({SIGINT});
      for (int i = 0; i < 2; ++i) {  // a second one does not kill either
        ::raise(SIGINT);
        const auto signal = co_await stream.next();
        if (signal != std::optional<int>(SIGINT)) co_return 1;
      }
    }
    ::raise(SIGINT);
    co_await sleep_for(1h);
    co_return 2;
  };
  const int status = in_child([&test] {
    ::signal(SIGINT, SIG_DFL);
    try {
      return rondo::run(test());
    } catch (const interrupted&) {
      return disposition(SIGINT) == SIG_DFL ? 0 : 3;
    }
  });
  CHECK(exited_with(status, 0));
})

ON_BOTH_RINGS("a stream for SIGINT outlives the run in which it was made, and the next run has Ctrl-C again", {
  const auto make = [](std::optional<signal_stream>& to) -> task<> {
    to.emplace(signals({SIGINT}));
    co_return;
  };
  const auto interrupt = []() -> task<> {
    ::raise(SIGINT);
    co_await sleep_for(1h);
  };
  const int status = in_child([&] {
    ::signal(SIGINT, SIG_DFL);
    std::optional<signal_stream> stream;
    rondo::run(make(stream));
    ::raise(SIGINT);  // it is caught
    if (rondo::run(next_of(*stream)) != std::optional<int>(SIGINT)) return 1;
    stream.reset();
    try {
      rondo::run(interrupt());
      return 2;
    } catch (const interrupted&) {
    }
    if (disposition(SIGINT) != SIG_DFL) return 3;
    ::raise(SIGINT);
    return 4;
  });
  CHECK(killed_by(status, SIGINT));
  const int without_a_run = in_child([&] {
    ::signal(SIGINT, SIG_DFL);
    std::optional<signal_stream> stream;
    rondo::run(make(stream));
    stream.reset();
    ::raise(SIGINT);
    return 4;
  });
  CHECK(killed_by(without_a_run, SIGINT));
})

// Threads and processes

ON_BOTH_RINGS("each of several loops gets each signal, whichever thread is hit, while streams come and go", {
  constexpr int threads = 3;
  constexpr int count = 200;
  std::atomic<int> ready{0};
  std::vector<int> got(threads);
  const auto collect = [](std::atomic<int>& there, int& number) -> task<> {
    signal_stream stream = signals({SIGUSR1, SIGUSR2});
    ++there;
    for (;;) {
      const auto signal = co_await stream.next();
      if (signal == std::optional<int>(SIGUSR2)) co_return;
      ++number;
      signal_stream passing = signals({SIGUSR1});
    }
  };
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&, i] { rondo::run(collect(ready, got[static_cast<std::size_t>(i)])); });
  }
  while (ready.load() != threads) std::this_thread::sleep_for(1ms);
  const signal_stream kept = signals({SIGUSR1, SIGUSR2});  // so that none kills
  for (int i = 0; i < count; ++i) {
    ::raise(SIGUSR1);  // on this thread: done when it returns
  }
  ::raise(SIGUSR2);
  for (std::thread& t : all) t.join();
  for (const int number : got) CHECK(number == count);
})

TEST_CASE("a signal to a forked child is not its parent's") {
  signal_stream stream = signals({SIGUSR1});
  const int status = in_child([] {
    ::raise(SIGUSR1);  // its disposition there is the one from before, which kills
    return 7;
  });
  CHECK(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGUSR1);
  const auto none = [](signal_stream& s) -> task<bool> {
    const auto signal = co_await try_for(2ms, s.next());
    co_return !signal.has_value();
  };
  CHECK(rondo::run(none(stream)));
}

TEST_CASE("a forked child may have streams of its own, and drops its parent's without harm") {
  std::optional<signal_stream> stream = signals({SIGUSR1, SIGUSR2});
  const int status = in_child([&stream] {
    signal_stream own = signals({SIGUSR1});
    stream.reset();
    ::raise(SIGUSR1);
    return rondo::run(next_of(own)) == SIGUSR1 && disposition(SIGUSR2) == SIG_DFL ? 7 : 1;
  });
  CHECK(exited_with(status, 7));
  ::raise(SIGUSR2);
  CHECK(rondo::run(next_of(*stream)) == SIGUSR2);
}

TEST_CASE("waiting for a signal allocates nothing") {
  if (!rondo_test::heap_is_counted()) SKIP("needs a counted heap");
  const auto count = []() -> task<std::size_t> {
    signal_stream stream = signals({SIGUSR1});
    std::size_t before = 0;
    for (int i = 0; i < 200; ++i) {
      if (i == 100) before = rondo_test::allocations();
      ::raise(SIGUSR1);
      static_cast<void>(co_await stream.next());
    }
    co_return rondo_test::allocations() - before;
  };
  CHECK(rondo::run(count()) == 0);
}

// On epoll a thread waits for the word, and a SIGURG of the library's own ends its call.
LOOP_TEST("SIGURG is a signal like the others, and cancels what waits on a thread") {
  static constexpr std::uint32_t word = 5;
  const auto cancel_a_wait = []() -> task<> {
    auto waiting = spawn([]() -> task<> { co_await io::futex_wait(&word, 5); });
    co_await sleep_for(5ms);  // until the thread waits, so that a signal has to end it
    waiting.cancel();
    const auto end = co_await as_result(std::move(waiting));
    CHECK(end.error() == errc::canceled);
  };
  {
    signal_stream stream = signals(SIGURG);
    co_await cancel_a_wait();
    ::kill(::getpid(), SIGURG);
    const auto first = co_await stream.next();
    CHECK(first == std::optional<int>(SIGURG));
    const auto another = co_await try_for(10ms, stream.next());
    CHECK_FALSE(another.has_value());
  }
  co_await cancel_a_wait();
}
