// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/with_context.hpp>

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include <rondo/compose/as_completed.hpp>
#include <rondo/compose/as_result.hpp>
#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/finally.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/compose/task_group.hpp>
#include <rondo/compose/when_all.hpp>
#include <rondo/compose/when_any.hpp>

#include "compose/children.hpp"
#include "support/helpers.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using rondo::context_var;
using rondo::task;
using rondo::task_group;
using rondo::when_all;
using rondo::with_context;
using namespace rondo::test;

namespace {

context_var<std::string> name{"-"};
context_var<int> level{0};

/// What a plain function sees, now and after a wait.
std::string who() { return name.get(); }
task<std::string> seen() {
  std::string before = who();
  co_await rondo::checkpoint();
  co_return before + who();
}
task<> note(std::string& log) { log += co_await seen(); }

/// A single-pass range of tasks, which notes who reads it.
struct noted_range : std::ranges::view_base {
  struct iterator {
    using difference_type = std::ptrdiff_t;
    using value_type = task<std::string>;
    std::string* log = nullptr;
    int left = 0;
    task<std::string> operator*() const {
      *log += who();
      return seen();
    }
    iterator& operator++() {
      --left;
      return *this;
    }
    void operator++(int) { --left; }
    bool operator==(std::default_sentinel_t) const { return left == 0; }
  };
  explicit noted_range(std::string& l) : log(&l) {}
  iterator begin() const { return {log, 3}; }
  std::default_sentinel_t end() const { return {}; }
  std::string* log;
};

}  // namespace

// What it gives

TASK_TEST("with_context gives what it surrounds: values, references, what is moved, nothing") {
  int there = 4;
  const auto refer = [](int& n) -> task<int&> { co_return n; };
  const auto make = [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  const int value = co_await with_context(level, 1, number(3));
  int& same = co_await with_context(level, 1, refer(there));
  const auto owner = co_await with_context(level, 1, make(5));
  co_await with_context(level, 1, rondo::checkpoint());
  int caught = 0;
  try {
    co_await with_context(level, 1, fails(6));
  } catch (const oops& e) {
    caught = e.number;
  }
  CHECK(value == 3);
  CHECK(&same == &there);
  CHECK(*owner == 5);
  CHECK(caught == 6);
}

TEST_CASE("a cancellation reaches what with_context surrounds") {
  manual_loop loop;
  gate never;
  manual_loop::root root(loop, with_context(level, 1, never.wait_in_a_task()));
  root.start();
  CHECK(never.waiting() == 1);
  root.line.cancel();
  CHECK(never.waiting() == 0);
  loop.run_until_idle();
  REQUIRE(root.done());
  CHECK(error_of(root) == -1);
}

// Who sees what

TASK_TEST("the inner value hides the outer one until its end, and leaves other variables alone") {
  std::string log;
  const auto both = [](std::string& l) -> task<> {
    co_await rondo::checkpoint();
    l += who() + std::to_string(level.get());
  };
  const auto outer = [&]() -> task<> {
    co_await both(log);
    co_await with_context(name, "i", both(log));
    co_await with_context(level, 2, both(log));
    co_await with_context(name, "i", with_context(name, "j", with_context(level, 3, both(log))));
    co_await both(log);
  };
  co_await with_context(name, "o", level, 1, outer());
  co_await both(log);
  CHECK(log == "o1i1o2j3o1-0");
}

TASK_TEST("several variables are set at once, and of two values for one the last counts") {
  std::string log;
  static context_var<char> letter{'?'};
  const auto all = [](std::string& l) -> task<> {
    const std::string& n = co_await name;
    const int& i = co_await level;
    const char& c = co_await letter;
    l += n + std::to_string(i) + c;
  };
  co_await with_context(name, "a", level, 1, letter, 'x', all(log));
  co_await with_context(name, "a", level, 1, name, "b", all(log));
  co_await with_context(level, 2, with_context(letter, 'y', name, "c", all(log)));
  CHECK(log == "a1xb1?c2y");
}

TASK_TEST("children of combinators see the values, those that end at once included") {
  std::string log;
  const auto at_once = [](std::string& l) -> task<> {
    l += who();
    co_return;
  };
  co_await with_context(name, "a", when_all(at_once(log), note(log), note(log)));
  CHECK(log == "aaaaa");
  log.clear();
  std::vector<task<>> range;
  for (int i = 0; i < 3; ++i) range.push_back(note(log));
  co_await with_context(name, "b", when_all(std::move(range), rondo::max_concurrency{2}));
  CHECK(log == "bbbbbb");
  const auto first = co_await with_context(name, "c", rondo::first_success(seen(), seen()));
  CHECK(std::get<0>(first) == "cc");
  const auto through = [](std::string& l) -> task<> {
    std::vector<task<std::string>> streamed;
    streamed.push_back(seen());
    streamed.push_back(seen());
    co_await rondo::for_each_completed(
        std::move(streamed), [&l](rondo::completed<std::string>& c) { l += *c.result + who(); });
  };
  log.clear();
  co_await with_context(name, "d", through(log));
  CHECK(log == "dddddd");
}

TASK_TEST("a range is read by whoever awaits the combinator, with its values") {
  std::string log;
  const auto body = [&]() -> task<> {
    const auto all = co_await when_all(noted_range(log), rondo::max_concurrency{1});
    for (const std::string& each : all) log += each;
  };
  co_await with_context(name, "v", body());
  CHECK(log == "vvvvvvvvv");
}

TASK_TEST("children of a task group see the values of whoever spawned them, from the start") {
  std::string log;
  const auto body = [&log](task_group& group) -> task<> {
    const auto spawns = [](task_group& g, std::string& l) -> task<> {
      g.spawn(note(l));
      co_return;
    };
    group.spawn(note(log));
    co_await with_context(name, "s", spawns(group, log));  // ends before the child begins
    co_await group.join();
  };
  co_await with_context(name, "g", rondo::with_task_group(body));
  CHECK(log == "ggss");
}

TASK_TEST("shield, finally and as_result let the values through") {
  std::string log;
  const auto cleanup = [&log] { log += who(); };
  const auto later = [](std::string& l) -> task<> {
    co_await rondo::checkpoint();
    l += who();
  };
  co_await with_context(name, "a", rondo::shield(note(log)));
  co_await with_context(name, "b", rondo::finally(note(log), cleanup));
  co_await with_context(name, "c", rondo::finally(note(log), later, std::ref(log)));
  const auto result = co_await with_context(name, "d", rondo::as_result(seen()));
  CHECK(log == "aabbbccc");
  CHECK(*result == "dd");
}

LOOP_TEST("limits and stop tokens let the values through") {
  std::string log;
  const auto body = [](rondo::timeout_scope&, std::string& l) -> task<> { co_await note(l); };
  co_await with_context(name, "a", rondo::with_timeout(1h, note(log)));
  co_await with_context(name, "b", rondo::with_timeout(1h, body, std::ref(log)));
  const auto tried = co_await with_context(name, "c", rondo::try_for(1h, seen()));
  co_await with_context(name, "d", rondo::with_stop_token(std::stop_token(), note(log)));
  CHECK(log == "aabbdd");
  CHECK(*tried == "cc");
}

LOOP_TEST("a spawned task sees the values it was spawned with, after with_context has ended, too") {
  std::string log;
  const auto waits = [](std::string& l) -> task<> {
    l += who();
    co_await rondo::sleep_for(1ms);
    l += who();
    // What it spawns in turn holds on to the same values.
    auto below = rondo::spawn(note(l));
    co_await below;
  };
  const auto spawns = [&](rondo::join_handle<>& out) -> task<> {
    out = rondo::spawn(waits(log));
    co_return;
  };
  rondo::join_handle<> handle;
  co_await with_context(name, "a", level, 1, spawns(handle));
  CHECK(who() == "-");
  co_await with_context(name, "b", handle);  // waiting for it changes nothing
  CHECK(log == "aaaa");
}

// Lifetimes

TASK_TEST("values live as long as somebody may ask for them, and no longer") {
  static context_var<std::shared_ptr<int>> resource;
  const auto owner = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = owner;
  long inside = 0;
  const auto count = [&]() -> task<> {
    co_await rondo::checkpoint();
    inside = watched.use_count();
  };
  co_await with_context(resource, owner, count());
  CHECK(inside == 2);
  CHECK(owner.use_count() == 1);

  gate open;
  long later = 0;
  const auto body = [&](task_group& group) -> task<> {
    const auto spawns = [](task_group& to, gate& g, long& n) -> task<> {
      const auto holds = [](gate& held, long& out) -> task<> {
        co_await held.wait();
        out = resource.get().use_count();
      };
      to.spawn(holds, std::ref(g), std::ref(n));
      co_return;
    };
    co_await with_context(resource, owner, spawns(group, open, later));
    CHECK(owner.use_count() == 2);  // the child's
    open.open();
    co_await group.join();
  };
  co_await rondo::with_task_group(body);
  CHECK(later == 2);
  CHECK(owner.use_count() == 1);
}

TEST_CASE("a with_context that is made and dropped, or canceled, leaves nothing behind") {
  static context_var<std::shared_ptr<int>> resource;
  const auto owner = std::make_shared<int>(1);
  gate never;
  static_cast<void>(with_context(resource, owner, level, 2, nothing()));
  CHECK(owner.use_count() == 1);
  {
    manual_loop loop;
    manual_loop::root root(loop, with_context(resource, owner, level, 2, never.wait_in_a_task()));
    root.start();
    CHECK(owner.use_count() == 2);
    root.line.cancel();
    loop.run_until_idle();
    CHECK(error_of(root) == -1);
  }
  CHECK(owner.use_count() == 1);
}

TASK_TEST("a long row of contexts inside one another is let go without a deep stack") {
  struct nest {
    static task<int> in(int depth) {
      if (depth == 0) {
        co_await rondo::checkpoint();
        co_return level.get();
      }
      const int inside = co_await with_context(level, depth, in(depth - 1));
      co_return inside;
    }
  };
  const int innermost = co_await nest::in(10000);
  CHECK(innermost == 1);
  const int outside = co_await level;
  CHECK(outside == 0);
}
