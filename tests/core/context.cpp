// SPDX-License-Identifier: BSL-1.0

#include <rondo/core/context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/task_group.hpp>
#include <rondo/compose/when_all.hpp>
#include <rondo/compose/when_any.hpp>
#include <rondo/compose/with_context.hpp>

#include "support/heap.hpp"
#include "support/helpers.hpp"
#include "support/loop_test.hpp"

using rondo::context_var;
using rondo::task;
using rondo::with_context;
using namespace rondo::test;

namespace {

context_var<std::string> name{"nobody"};
context_var<int> level{0};

/// As code that knows nothing of coroutines asks.
std::string who() { return name.get(); }

}  // namespace

// Without with_context

TEST_CASE("outside a loop a variable has its default") {
  CHECK(name.get() == "nobody");
  CHECK(level.get() == 0);
  const context_var<int> made;
  CHECK(made.get() == 0);
  int on_a_thread = -1;
  std::thread([&] { on_a_thread = level.get(); }).join();
  CHECK(on_a_thread == 0);
}

TASK_TEST("in a task that nobody has set it for, a variable has its default") {
  const std::string& awaited = co_await name;
  CHECK(awaited == "nobody");
  CHECK(who() == "nobody");
}

TEST_CASE("between turns nobody runs, so a variable has its default") {
  manual_loop loop;
  gate open;
  const auto body = [](gate& g) -> task<std::string> {
    co_await g.wait();
    co_return who();
  };
  manual_loop::root root(loop, with_context(name, "a", body(open)));
  root.start();
  CHECK(who() == "nobody");
  open.open();
  CHECK(who() == "nobody");
  loop.run_until_idle();
  CHECK(who() == "nobody");
  REQUIRE(root.done());
  CHECK(root.take() == "a");
}

// How it is asked

TASK_TEST("co_await gives a reference to the value, at once, and allocates nothing") {
  const auto body = []() -> task<> {
    const std::string& first = co_await name;
    const auto before = rondo_test::allocations();
    const std::string& again = co_await name;
    const std::string& got = name.get();
    const auto during = rondo_test::allocations() - before;
    CHECK(first == "a text that is longer than a short one");
    CHECK(&first == &again);
    CHECK(&first == &got);
    CHECK(during == 0);
  };
  co_await with_context(name, "a text that is longer than a short one", body());
}

TASK_TEST("a value may be anything that the variable's type is made of") {
  static context_var<std::optional<std::string>> maybe;
  static context_var<std::unique_ptr<int>> owner;
  const auto body = []() -> task<> {
    const auto& text = co_await maybe;
    const auto& pointer = co_await owner;
    REQUIRE(text.has_value());
    CHECK(*text == "text");
    REQUIRE(pointer != nullptr);
    CHECK(*pointer == 4);
  };
  co_await with_context(maybe, "text", owner, std::make_unique<int>(4), body());
  CHECK(!maybe.get().has_value());
}

// Whose code runs

TASK_TEST("tasks that take turns see each its own value, before and after every wait") {
  const auto watch = [](std::string expected, int& wrong) -> task<> {
    for (int i = 0; i < 50; ++i) {
      if (who() != expected) ++wrong;
      co_await rondo::checkpoint();
      const std::string& awaited = co_await name;
      if (awaited != expected || who() != expected) ++wrong;
    }
  };
  int wrong = 0;
  co_await rondo::when_all(with_context(name, "a", watch("a", wrong)), watch("nobody", wrong),
                           with_context(name, "b", watch("b", wrong)),
                           with_context(name, "c", rondo::when_all(watch("c", wrong),
                                                                   watch("c", wrong))));
  CHECK(wrong == 0);
}

TASK_TEST("who wakes others goes on as itself, and so do they") {
  gate open;
  std::string log;
  const auto sleeps = [](gate& g, std::string& l) -> task<> {
    co_await g.wait();
    l += who();
  };
  const auto wakes = [](gate& g, std::string& l) -> task<> {
    co_await rondo::checkpoint();
    g.open();
    l += who();
    co_await rondo::checkpoint();
    l += who();
  };
  co_await rondo::when_all(with_context(name, "a", sleeps(open, log)),
                           with_context(name, "b", wakes(open, log)));
  CHECK((log == "bab" || log == "bba"));
}

TASK_TEST("a task sees its own value again when what it awaits has ended, at once or later") {
  std::string log;
  const auto inner = [](bool waits, std::string& l) -> task<> {
    l += who();
    if (waits) co_await rondo::checkpoint();
    l += who();
  };
  const auto outer = [&](bool waits) -> task<> {
    log += who();
    co_await with_context(name, "i", inner(waits, log));
    log += who();
  };
  co_await with_context(name, "o", outer(false));
  co_await with_context(name, "o", outer(true));
  log += who();
  CHECK(log == "oiiooiionobody");
}

TASK_TEST("a value is seen from far below a deep chain of tasks") {
  struct chain {
    static task<std::string> link(int depth) {
      if (depth == 0) {
        co_await rondo::checkpoint();
        co_return who();
      }
      std::string below = co_await link(depth - 1);
      if (who() != below) below = "different";
      co_return below;
    }
  };
  const std::string seen = co_await with_context(name, "deep", chain::link(5000));
  CHECK(seen == "deep");
}

TASK_TEST("the awaiter of a foreign awaitable sees its own value afterwards") {
  const auto body = []() -> task<std::string> {
    std::string seen = who();
    static_cast<void>(co_await inline_awaiter(1));
    seen += who();
    co_return seen;
  };
  const std::string seen = co_await with_context(name, "f", body());
  CHECK(seen == "ff");
}

LOOP_TEST("after another library's thread has resumed a task, the task sees its own value") {
  const auto body = []() -> task<std::string> {
    other_thread hop;
    static_cast<void>(co_await hop);
    co_return who();
  };
  const std::string seen = co_await with_context(name, "back", body());
  CHECK(seen == "back");
}

LOOP_TEST("what is posted to the loop is nobody's: it sees the default") {
  const auto body = []() -> task<std::string> {
    std::string seen;
    bool ran = false;
    rondo::event_loop::current().post([&] {
      seen = who();
      ran = true;
    });
    while (!ran) co_await rondo::checkpoint();
    co_return seen;
  };
  const std::string seen = co_await with_context(name, "task", body());
  CHECK(seen == "nobody");
}

LOOP_TEST("what runs on a thread for a task sees the task's values") {
  const auto body = []() -> task<std::string> { co_return co_await rondo::to_thread(who); };
  const std::string seen = co_await with_context(name, "far", body());
  CHECK(seen == "far");
  const std::string default_value = co_await rondo::to_thread(who);
  CHECK(default_value == "nobody");
}

TEST_CASE("a loop inside another thread's loop has its own values") {
  // Not nested on one thread, but at the same time on two.
  const auto body = []() -> task<std::string> {
    std::string other;
    std::thread([&other] {
      manual_loop inner;
      const auto ask = []() -> task<std::string> { co_return who(); };
      other = inner.run(ask());
    }).join();
    co_return other + who();
  };
  manual_loop loop;
  const std::string seen = loop.run(with_context(name, "mine", body()));
  CHECK(seen == "nobodymine");
}
