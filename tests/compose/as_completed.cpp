// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/as_completed.hpp>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/compose/when_all.hpp>

#include <rondo/rondo.hpp>

#include "compose/children.hpp"
#include "support/helpers.hpp"

using rondo::as_completed;
using rondo::completed;
using rondo::for_each_completed;
using rondo::max_concurrency;
using rondo::operation_canceled;
using rondo::task;
using rondo::unhandled_error;
using namespace rondo::test;

namespace {

std::vector<task<int>> steps(std::string& log, gate& a, gate& b, gate& c) {
  std::vector<task<int>> all;
  all.push_back(step(log, 'a', a));
  all.push_back(step(log, 'b', b));
  all.push_back(step(log, 'c', c));
  return all;
}

task<std::unique_ptr<int>> owned(int n) { co_return std::make_unique<int>(n); }

/// Waits until it is canceled, and then for a second gate, which nobody can cancel.
task<int> ends_slowly(gate& never, gate& slow, std::string& log) {
  try {
    co_await never.wait();
  } catch (const operation_canceled&) {
    log += 'c';
  }
  co_await rondo::shield(slow.wait());
  log += 'e';
  co_return 1;
}

}  // namespace

TEST_CASE("as_completed gives each end as it comes, with its place in the range") {
  manual_loop loop;
  gate a;
  gate b;
  gate c;
  std::string log;
  std::string order;
  const auto body = [&]() -> task<> {
    auto stream = as_completed(steps(log, a, b, c));
    CHECK(log.empty());
    while (auto end = co_await stream.next()) {
      order += static_cast<char>('0' + end->index);
      order += static_cast<char>(*end->result);
    }
    const auto after = co_await stream.next();
    CHECK(!after);
  };
  auto work = body();
  manual_loop::root root(loop, std::move(work));
  root.start();
  loop.run_until_idle();
  CHECK(log == "abc");
  b.open();
  loop.run_until_idle();
  c.open();
  a.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  root.take();
  CHECK(order == "1b2c0a");
}

TASK_TEST("errors are results, and end nobody else") {
  std::vector<task<>> all;
  all.push_back(fails(1));
  all.push_back(nothing());
  auto stream = as_completed(std::move(all));
  auto first = co_await stream.next();
  auto second = co_await stream.next();
  REQUIRE(first);
  REQUIRE(second);
  CHECK_THROWS_AS(first->result.value(), oops);
  CHECK(second->result.has_value());
}

TASK_TEST("an empty range is drained at once, and a limit of nobody is refused") {
  auto stream = as_completed(std::vector<task<int>>());
  const auto end = co_await stream.next();
  CHECK(!end);
  CHECK_THROWS_AS(as_completed(std::vector<task<int>>(), max_concurrency{0}),
                  std::invalid_argument);
}

TEST_CASE("with a limit, the next element is pulled when an end was taken") {
  manual_loop loop;
  int seen = 0;
  int most = 0;
  int running = 0;
  const auto work = [](int n, int& now, int& peak) -> task<int> {
    peak = std::max(peak, ++now);
    co_await rondo::checkpoint();
    --now;
    co_return n;
  };
  const auto body = [&]() -> task<int> {
    int sum = 0;
    const auto make = [&](int n) {
      ++seen;
      return work(n, running, most);
    };
    auto stream = as_completed(pulled(20, make), max_concurrency{3});
    while (auto end = co_await stream.next()) sum += *end->result;
    co_return sum;
  };
  auto root = body();
  const int sum = loop.run(std::move(root));
  CHECK(sum == 190);
  CHECK(seen == 20);
  CHECK(most == 3);
}

TEST_CASE("a canceled next loses nothing, and the stream goes on") {
  manual_loop loop;
  gate a;
  gate b;
  gate c;
  gate stop;
  std::string log;
  const auto body = [&]() -> task<int> {
    auto stream = as_completed(steps(log, a, b, c));
    const auto race = [&]() -> task<> {
      static_cast<void>(co_await stream.next());
    };
    const auto fail = [&]() -> task<> {
      co_await stop.wait();
      throw oops(1);
    };
    try {
      co_await rondo::when_all(race(), fail());
    } catch (const oops&) {
    }
    int ends = 0;
    while (auto end = co_await stream.next()) ++ends;
    co_return ends;
  };
  auto work = body();
  manual_loop::root root(loop, std::move(work));
  root.start();
  loop.run_until_idle();
  stop.open();
  loop.run_until_idle();
  CHECK(a.waiting() == 1);
  a.open();
  b.open();
  c.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(root.take() == 3);
}

TEST_CASE("close ends a next that another task awaits, and may be awaited by several") {
  manual_loop loop;
  gate never[2];
  gate slow[2];
  std::string log;
  const auto body = [&]() -> task<> {
    std::vector<task<int>> all;
    for (int i = 0; i < 2; ++i) all.push_back(ends_slowly(never[i], slow[i], log));
    auto stream = as_completed(std::move(all));
    const auto waits = [](auto& from) -> task<> {
      const auto end = co_await from.next();
      CHECK((!end || *end->result == 1));
    };
    const auto closes = [](auto& from) -> task<> { co_await from.close(); };
    co_await when_all(waits(stream), closes(stream), closes(stream));
    const auto none = co_await stream.next();
    CHECK_FALSE(none.has_value());
  };
  auto work = body();
  manual_loop::root root(loop, std::move(work));
  root.start();
  loop.run_until_idle();
  CHECK_FALSE(root.done());
  for (gate& each : slow) each.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  root.take();
}

TEST_CASE("close cancels those that run and waits for them, in a canceled task as well") {
  manual_loop loop;
  gate never;
  gate slow;
  std::string log;
  const auto body = [&]() -> task<> {
    std::vector<task<int>> all;
    all.push_back(ends_slowly(never, slow, log));
    auto stream = as_completed(std::move(all));
    try {
      static_cast<void>(co_await stream.next());
    } catch (const operation_canceled&) {
      log += 'b';
    }
    co_await stream.close();
    log += '.';
  };
  auto work = body();
  manual_loop::root root(loop, std::move(work));
  root.start();
  loop.run_until_idle();
  root.line.cancel();
  loop.run_until_idle();
  CHECK(!root.done());
  slow.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  root.take();
  CHECK(log == "bce.");
}

/// Drops a stream in something around it, which has to end after the stream's child.
template <typename Around>
void ends_after_what_it_dropped(Around around) {
  manual_loop loop;
  gate never;
  gate slow;
  std::string log;
  const auto drops = [&]() -> task<> {
    std::vector<task<int>> all;
    all.push_back(ends_slowly(never, slow, log));
    auto stream = as_completed(std::move(all));
    static_cast<void>(co_await rondo::as_result(rondo::when_all(stream.next(), fails(1))));
    log += 'd';
  };
  const auto body = [&]() -> task<> {
    auto inside = around(drops());
    co_await std::move(inside);
    log += '.';
  };
  auto work = body();
  manual_loop::root root(loop, std::move(work));
  root.start();
  loop.run_until_idle();
  CHECK(log == "dc");
  slow.open();
  loop.run_until_idle();
  REQUIRE(root.done());
  root.take();
  CHECK(log == "dce.");
  CHECK(!loop.any_orphans());
}

TEST_CASE("the line that dropped a stream does not end before the stream's children") {
  ends_after_what_it_dropped([](task<> t) { return rondo::when_all(std::move(t), nothing()); });
}

TEST_CASE("a line inside another one waits for what was dropped in it, too") {
  ends_after_what_it_dropped([](task<> t) { return rondo::shield(std::move(t)); });
  static rondo::context_var<int> number{0};
  ends_after_what_it_dropped(
      [](task<> t) { return rondo::with_context(number, 1, std::move(t)); });
  const std::stop_source stop;
  ends_after_what_it_dropped(
      [&](task<> t) { return rondo::with_stop_token(stop.get_token(), std::move(t)); });
}

TASK_TEST("a stream that was never asked starts nothing") {
  std::string log;
  gate g;
  {
    const auto stream = as_completed(steps(log, g, g, g));
  }
  CHECK(log.empty());
  co_return;
}

TASK_TEST("for_each_completed shows each end to a function, or to a task, one at a time") {
  int sum = 0;
  int at_once = 0;
  std::vector<task<int>> first;
  std::vector<task<int>> second;
  for (int i = 0; i < 5; ++i) {
    first.push_back(number(i));
    second.push_back(number(i));
  }
  co_await for_each_completed(std::move(first), [&](completed<int>& c) { sum += *c.result; });
  CHECK(sum == 10);
  const auto add = [&](completed<int>& c) -> task<> {
    CHECK(++at_once == 1);
    co_await rondo::checkpoint();
    --at_once;
    sum += *c.result;
  };
  co_await for_each_completed(std::move(second), add, max_concurrency{2});
  CHECK(sum == 20);

  // A function may take the end for itself.
  std::vector<std::unique_ptr<int>> kept;
  std::vector<task<std::unique_ptr<int>>> third;
  for (int i = 0; i < 3; ++i) third.push_back(owned(i));
  co_await for_each_completed(std::move(third), [&](completed<std::unique_ptr<int>> c) {
    kept.push_back(std::move(*c.result));
  });
  std::vector<task<std::unique_ptr<int>>> fourth;
  fourth.push_back(owned(3));
  co_await for_each_completed(std::move(fourth), [&](completed<std::unique_ptr<int>>&& c) -> task<> {
    kept.push_back(std::move(*c.result));
    co_return;
  });
  for (const auto& each : kept) sum += *each;
  CHECK(sum == 26);
}

TEST_CASE("an error of the function cancels the rest, and is thrown when they have ended") {
  manual_loop loop;
  gate never;
  std::string log;
  std::vector<task<int>> all;
  all.push_back(number(1));
  all.push_back(step(log, 'a', never));
  manual_loop::root root(
      loop, for_each_completed(std::move(all), [](completed<int>&) { throw oops(3); }));
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == 3);
  CHECK(never.waiting() == 0);
}

TEST_CASE("what the range throws is thrown by next, and ends the range") {
  manual_loop loop;
  const auto body = [&]() -> task<int> {
    const auto make = [](int n) {
      if (n == 1) throw oops(n);
      return number(n);
    };
    auto stream = as_completed(pulled(5, make), max_concurrency{1});
    const auto first = co_await stream.next();
    CHECK(*first->result == 0);
    int caught = 0;
    try {
      static_cast<void>(co_await stream.next());
    } catch (const oops& e) {
      caught = e.number;
    }
    const auto end = co_await stream.next();
    CHECK(!end);
    co_return caught;
  };
  auto work = body();
  CHECK(loop.run(std::move(work)) == 1);
}

TEST_CASE("children of a stream that is an argument of the root are gone when run returns") {
  using namespace rondo;
  event_loop loop;
  const auto alive = std::make_shared<int>();
  const auto child = [](std::shared_ptr<int>, std::chrono::milliseconds time) -> task<> {
    co_await shield(sleep_for(time));
  };
  const auto take_one = [](auto stream) -> task<> { static_cast<void>(co_await stream.next()); };
  std::vector<task<>> children;
  children.push_back(child(alive, std::chrono::milliseconds(1)));
  children.push_back(child(alive, std::chrono::milliseconds(30)));
  loop.run(take_one(as_completed(std::move(children))));
  CHECK(alive.use_count() == 1);
}

// Its move throws when it is told to.
struct throws_when_moved {
  explicit throws_when_moved(int& n) : left(&n) {}
  throws_when_moved(throws_when_moved&& other) : left(other.left) {
    if (--*left == 0) throw oops(7);
  }
  int* left;
};

TEST_CASE("an end whose move throws is lost, and its lane goes on") {
  bool lost = false;
  for (int moves = 1; moves < 20; ++moves) {
    manual_loop loop;
    int left = moves;
    const auto make = [&](int) -> task<throws_when_moved> { co_return throws_when_moved(left); };
    int ends = 0;
    const auto body = [&]() -> task<> {
      auto stream = as_completed(pulled(3, make), max_concurrency{1});
      for (;;) {
        const auto end = co_await rondo::as_result(stream.next());
        if (end.has_value() && !end->has_value()) break;
        ++ends;
        lost = lost || !end.has_value();
      }
      co_await stream.close();
    };
    loop.run(body());
    CHECK(ends == 3);
  }
  CHECK(lost);
}

// One stream inside the other. A child waits for `rest` where there are no more.
task<int> nested(int depth, gate& rest) {
  if (depth == 0) {
    co_await rest.wait();
    co_return 0;
  }
  std::vector<task<int>> one;
  one.push_back(nested(depth - 1, rest));
  auto stream = as_completed(std::move(one));
  auto end = co_await stream.next();
  const int inside = end.has_value() ? end->result.value() : -1;
  co_return inside + 1;
}

TEST_CASE("streams of a hundred thousand, one inside the other, need no more stack than one") {
  constexpr int depth = 100'000;
  for (const bool at_once : {true, false}) {
    manual_loop loop;
    gate rest;
    if (at_once) rest.open();
    manual_loop::root root(loop, nested(depth, rest));
    root.start();
    loop.run_until_idle();
    CHECK(root.done() == at_once);
    rest.open();
    loop.run_until_idle();
    REQUIRE(root.done());
    CHECK(root.take() == depth);
  }
}

TEST_CASE("a next that was put off for the sake of the stack is canceled before it has begun") {
  manual_loop loop;
  gate rest;
  manual_loop::root root(loop, nested(100'000, rest));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK_THROWS_AS(root.take(), operation_canceled);
}

TEST_CASE("a child that cancels the line of its stream as it starts ends next") {
  manual_loop loop;
  gate never;
  const auto child = [](manual_loop::root<task<>>*& around, gate& waits) -> task<int> {
    around->line.cancel();
    co_await waits.wait();
    co_return 1;
  };
  manual_loop::root<task<>>* around = nullptr;
  const auto body = [&]() -> task<> {
    std::vector<task<int>> one;
    one.push_back(child(around, never));
    auto stream = as_completed(std::move(one));
    static_cast<void>(co_await stream.next());
  };
  manual_loop::root root(loop, body());
  around = &root;
  root.start();
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK_THROWS_AS(root.take(), operation_canceled);
}
