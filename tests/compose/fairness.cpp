// SPDX-License-Identifier: BSL-1.0

// What never has to wait lets others run now and then all the same, also inside a combinator; and
// who ends at once inside one is told of at once, so that nobody else wins.

#include <vector>

#include <rondo/rondo.hpp>

#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

/// Awaits `make()` until another task has had its turn, and gives how often.
template <typename Make>
task<int> until_another_runs(Make make) {
  bool has_run = false;
  auto other = spawn(
      [](bool& run) -> task<> {
        run = true;
        co_return;
      },
      std::ref(has_run));
  int rounds = 0;
  for (; !has_run && rounds < 100'000; ++rounds) {
    static_cast<void>(co_await make());
  }
  co_await other;
  co_return rounds;
}

constexpr int soon = 1000;

}  // namespace

LOOP_TEST("a combinator whose children never wait lets others run") {
  event e;
  e.set();
  const int any = co_await until_another_runs([&] { return when_any(e.wait(), e.wait()); });
  CHECK(any < soon);
  const int all = co_await until_another_runs([&] { return when_all(e.wait(), e.wait()); });
  CHECK(all < soon);
  const int nested =
      co_await until_another_runs([&] { return when_any(when_all(e.wait(), e.wait()), e.wait()); });
  CHECK(nested < soon);
}

LOOP_TEST("a limit, a shield, a context and a stop token around what never waits let others run") {
  static context_var<int> variable;
  event e;
  e.set();
  const int limit = co_await until_another_runs([&] { return with_timeout(1h, e.wait()); });
  CHECK(limit < soon);
  const int shielded = co_await until_another_runs([&] { return shield(e.wait()); });
  CHECK(shielded < soon);
  const int context =
      co_await until_another_runs([&] { return with_context(variable, 1, e.wait()); });
  CHECK(context < soon);
  const int token = co_await until_another_runs([&] { return with_stop_token({}, e.wait()); });
  CHECK(token < soon);
  CHECK(event_loop::current().stats().timers == 0);
}

LOOP_TEST("a range of what never waits, some at a time, lets others run before it has ended") {
  channel<int> c(100'000);
  bool has_run = false;
  std::size_t sent_before = 0;
  auto other = spawn(
      [](channel<int>& to, bool& run, std::size_t& before) -> task<> {
        run = true;
        before = to.size();
        co_return;
      },
      std::ref(c), std::ref(has_run), std::ref(sent_before));
  std::vector<decltype(c.send(1))> sends;
  for (int i = 0; i < 100'000; ++i) sends.push_back(c.send(i));
  co_await when_all(std::move(sends), max_concurrency{1});
  CHECK(has_run);
  CHECK(sent_before < soon);
  CHECK(c.size() == 100'000);
  co_await other;
}

LOOP_TEST("who ends at once in a race wins, each time") {
  channel<int> a(1);
  channel<int> b(1);
  for (int i = 0; i < 1000; ++i) {
    a.try_send(i);
    b.try_send(i);
    const auto won = co_await when_any(a.receive(), b.receive());
    if (won.index() != 0) CHECK(won.index() == 0);
    if (b.size() != 1) CHECK(b.size() == 1);
    static_cast<void>(b.try_receive());
  }
}
