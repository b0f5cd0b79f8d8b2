// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/cancellation.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <rondo/compose/as_completed.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/compose/when_all.hpp>
#include <rondo/compose/when_any.hpp>

#include "compose/children.hpp"
#include "support/heap.hpp"
#include "support/helpers.hpp"

using rondo::cancellation_requested;
using rondo::checkpoint;
using rondo::operation_canceled;
using rondo::task;
using rondo::when_all;
using rondo::when_any;
using namespace rondo::test;

TEST_CASE("cancellation_requested tells, does not wait, and throws nothing") {
  manual_loop loop;
  gate open;
  std::string log;
  const auto body = [&]() -> task<> {
    for (int i = 0; i < 3; ++i) {
      const bool requested = co_await cancellation_requested();
      log += requested ? 'y' : 'n';
      if (i == 1) co_await rondo::shield(open.wait());
    }
  };
  manual_loop::root root(loop, body());
  root.start();
  CHECK(log == "nn");
  root.line.cancel();
  open.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  root.take();
  CHECK(log == "nny");
}

TASK_TEST("cancellation_requested is asked of the line that asks, not of others") {
  gate never;
  std::string log;
  const auto loser = [](gate& g, std::string& l) -> task<> {
    try {
      co_await g.wait();
    } catch (const operation_canceled&) {
    }
    const bool requested = co_await cancellation_requested();
    l += requested ? 'y' : 'n';
  };
  co_await when_any(loser(never, log), nothing());
  const bool here = co_await cancellation_requested();
  CHECK(log == "y");
  CHECK(!here);
}

TASK_TEST("a checkpoint lets everybody else who is ready run first") {
  std::string log;
  const auto count = [](std::string& l, char name) -> task<> {
    for (int i = 0; i < 3; ++i) {
      l += name;
      co_await checkpoint();
    }
  };
  co_await when_all(count(log, 'a'), count(log, 'b'), count(log, 'c'));
  CHECK(log == "abcabcabc");
}

TEST_CASE("a checkpoint throws in a canceled task, one turn later") {
  manual_loop loop;
  std::string log;
  const auto body = [&]() -> task<> {
    log += '1';
    try {
      co_await checkpoint();
    } catch (const operation_canceled&) {
      log += '2';
    }
    co_await checkpoint();
    log += "not here";
  };
  manual_loop::root root(loop, body());
  root.line.cancel();
  root.start();
  CHECK(log == "1");
  loop.turn();
  CHECK(log == "12");
  CHECK(!root.done());
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
  CHECK(log == "12");
}

TEST_CASE("a task that is canceled while it is at a checkpoint throws there") {
  manual_loop loop;
  manual_loop::root root(loop, checkpoint());
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
}

TEST_CASE("a checkpoint that was canceled wins no race") {
  manual_loop loop;
  manual_loop::root root(loop, rondo::first_success(checkpoint(), rondo::shield(number(3))));
  root.line.cancel();
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(root.take().index() == 1);

  manual_loop::root later(loop, rondo::first_success(checkpoint(), rondo::shield(checkpoint())));
  later.start();
  later.line.cancel();
  loop.run_until_idle();
  REQUIRE(later.done());
  CHECK(later.take().index() == 1);
}

TASK_TEST("a checkpoint that wins a race has won it, although the losers are canceled") {
  gate never;
  const auto first = co_await when_any(checkpoint(), never.wait());
  CHECK(first.index() == 0);
  const auto second = co_await when_any(never.wait(), checkpoint());
  CHECK(second.index() == 1);
}

TASK_TEST("an error that calls itself a cancellation stays one when others are canceled for it") {
  gate never;
  const auto throws = []() -> task<> {
    co_await checkpoint();
    throw operation_canceled();
  };
  bool thrown = false;
  try {
    co_await when_all(when_any(throws(), never.wait()), never.wait());
  } catch (const operation_canceled&) {
    thrown = true;
  }
  CHECK(thrown);
  CHECK(never.waiting() == 0);
}

TEST_CASE("a task that swallows a thousand cancellations is reported, once, and others still run") {
  manual_loop loop;
  int swallowed = 0;
  bool enough = false;
  const auto swallows = [](int& n, const bool& stop) -> task<> {
    while (!stop) {
      try {
        co_await checkpoint();
      } catch (const operation_canceled&) {
        ++n;
      }
    }
  };
  const auto stops = [](const int& n, bool& stop) -> task<> {
    while (n < 2500) co_await rondo::shield(checkpoint());
    stop = true;
  };
  manual_loop::root root(loop, when_all(swallows(swallowed, enough), stops(swallowed, enough)));
  root.line.cancel();
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  root.take();
  REQUIRE(loop.reports.size() == 1);
  CHECK(loop.reports[0].first == rondo::unhandled_error::kind::ignores_cancellation);
}

TASK_TEST("checkpoints and questions allocate nothing") {
  bool requested = false;
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 100; ++i) {
    co_await checkpoint();
    requested = co_await cancellation_requested();
  }
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
  CHECK(!requested);
}

namespace {

/// Starts something that uses `text` when it is canceled, and drops it before it has waited.
task<> drops_a_stream(gate& never, const std::string& text, std::string& log) {
  const auto uses = [](gate& g, const std::string& t, std::string& l) -> task<int> {
    try {
      co_await g.wait();
    } catch (const operation_canceled&) {
    }
    for (int i = 0; i < 5; ++i) co_await rondo::shield(checkpoint());
    l += t;
    co_return 0;
  };
  std::vector<task<int>> children;
  children.push_back(number(1));
  children.push_back(uses(never, text, log));
  auto stream = rondo::as_completed(std::move(children));
  static_cast<void>(co_await stream.next());
}

}  // namespace

TASK_TEST("what a child drops before it first waits has ended when the combinator has") {
  gate never;
  std::string log;
  {
    const std::string text = "x";
    co_await when_all(drops_a_stream(never, text, log), drops_a_stream(never, text, log));
  }
  CHECK(log == "xx");
  {
    const std::string text = "y";
    std::vector<task<>> range;
    range.push_back(drops_a_stream(never, text, log));
    range.push_back(drops_a_stream(never, text, log));
    co_await when_all(std::move(range), rondo::max_concurrency{1});
  }
  CHECK(log == "xxyy");
}
