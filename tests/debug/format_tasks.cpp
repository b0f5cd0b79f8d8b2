// SPDX-License-Identifier: BSL-1.0

#include <chrono>
#include <coroutine>
#include <memory>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rondo/core/source_location.hpp>

#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;
using rondo::channel;
using rondo::event_loop;
using rondo::format_tasks;
using rondo::max_concurrency;
using rondo::sleep_for;
using rondo::spawn;
using rondo::spawn_options;
using rondo::task;
using rondo::task_group;
using rondo::when_all;
using rondo::with_task_group;
using rondo::with_timeout;
using rondo::yield;

namespace {

#if defined(__cpp_lib_source_location)
constexpr bool places_are_known = true;
#else
constexpr bool places_are_known = false;
#endif

/// Lets everybody get as far as they can.
task<> settle() {
  for (int i = 0; i < 8; ++i) co_await yield();
}

/// The tree, without the places.
std::string tree() {
  const std::string text = format_tasks(event_loop::current());
  return std::regex_replace(text, std::regex(", at [^ ]+:[0-9]+ in [^\n]*?(?=, for|, canceled|\n)"),
                            "");
}

/// Before what they use goes.
template <typename... Handles>
task<> end(Handles&... handles) {
  (handles.cancel(), ...);
  (co_await handles.wait(), ...);
}
task<> end(std::vector<rondo::join_handle<>>& handles) {
  for (auto& each : handles) each.cancel();
  for (auto& each : handles) co_await each.wait();
}

constexpr int line_of_sleep = __LINE__ + 1;
task<> sleep_long() { co_await sleep_for(1h); }

}  // namespace

VIRTUAL_TEST("format_tasks shows who runs, what others are suspended on, and what is inside them") {
  channel<int> numbers(1);
  auto reader = spawn(spawn_options{.name = "reader"},
                      [&numbers]() -> task<> { co_await numbers.receive(); });
  auto both = spawn([]() -> task<> {
    co_await when_all(sleep_long(), with_timeout(90s, sleep_for(1h)));
  });
  co_await settle();
  CHECK(tree() ==
        "root: runs\n"
        "reader: channel::receive\n"
        "spawned: when_all\n"
        "  sleep, 3600.0 s left\n"
        "  with_timeout, 90.0 s left\n"
        "    sleep, 3600.0 s left\n");
  co_await end(reader, both);
}

LOOP_TEST("format_tasks names the descriptor of an operation") {
  auto [in, out] = rondo::make_pipe();
  auto reading = spawn([&from = in]() -> task<> {
    char byte = 0;
    co_await from.read(rondo::mutable_buffer(&byte, 1));
  });
  co_await settle();
  CHECK(tree() == "root: runs\nspawned: read on descriptor " +
                      std::to_string(in.native_handle()) + "\n");
  co_await end(reading);
}

VIRTUAL_TEST("format_tasks names the children of a group, and leaves out those who have ended") {
  auto group = spawn([]() -> task<> {
    co_await with_task_group([](task_group& g) -> task<> {
      g.spawn(sleep_long(), spawn_options{.name = "first"});
      g.spawn([]() -> task<> { co_return; });
      g.spawn(sleep_long());
      co_await g.join();
    });
  });
  co_await settle();
  CHECK(tree() ==
        "root: runs\n"
        "spawned: with_task_group\n"
        "  the body: task_group::join\n"
        "  first: sleep, 3600.0 s left\n"
        "  sleep, 3600.0 s left\n");
  co_await end(group);
}

VIRTUAL_TEST("format_tasks shows each kind of combinator") {
  const auto one = [](auto made) -> task<> { co_await std::move(made); };
  std::vector<rondo::join_handle<>> all;
  const auto two = [] {
    std::vector<task<>> tasks;
    tasks.push_back(sleep_long());
    tasks.push_back(sleep_long());
    return tasks;
  };
  all.push_back(spawn(one, when_all(two())));
  all.push_back(spawn(one, when_all(two(), max_concurrency{1})));
  all.push_back(spawn([](auto tasks) -> task<> { co_await rondo::when_any(std::move(tasks)); },
                      two()));
  all.push_back(
      spawn([](auto tasks) -> task<> { co_await rondo::first_success(std::move(tasks)); }, two()));
  all.push_back(spawn(
      [](auto tasks) -> task<> { co_await rondo::when_all_settled(std::move(tasks)); }, two()));
  all.push_back(spawn([](auto tasks) -> task<> {
    co_await rondo::for_each_completed(std::move(tasks), [](const auto&) {});
  }, two()));
  all.push_back(spawn(one, rondo::shield(sleep_for(1s))));
  rondo::context_var<int> v{0};
  all.push_back(spawn([&v]() -> task<> { co_await with_context(v, 1, sleep_for(1h)); }));
  all.push_back(spawn([]() -> task<> {
    co_await rondo::with_stop_token(std::stop_token(), sleep_for(1h));
  }));
  co_await settle();
  CHECK(tree() ==
        "root: runs\n"
        "spawned: when_all\n  sleep, 3600.0 s left\n  sleep, 3600.0 s left\n"
        "spawned: when_all\n  sleep, 3600.0 s left\n"
        "spawned: when_any\n  sleep, 3600.0 s left\n  sleep, 3600.0 s left\n"
        "spawned: first_success\n  sleep, 3600.0 s left\n  sleep, 3600.0 s left\n"
        "spawned: when_all_settled\n  sleep, 3600.0 s left\n  sleep, 3600.0 s left\n"
        "spawned: as_completed\n  sleep, 3600.0 s left\n  sleep, 3600.0 s left\n"
        "spawned: shield\n  sleep, 1.0 s left\n"
        "spawned: with_context\n  sleep, 3600.0 s left\n"
        "spawned: with_stop_token\n  sleep, 3600.0 s left\n");
  co_await end(all);
}

VIRTUAL_TEST("format_tasks shows what tasks of one loop wait for among themselves") {
  rondo::mutex m;
  rondo::semaphore s(0);
  rondo::event e;
  rondo::latch l(1);
  rondo::barrier b(2);
  rondo::condition_variable c;
  rondo::condition_variable notified;
  rondo::oneshot<> o;
  channel<int> full(0);
  std::vector<rondo::join_handle<>> all;
  const auto guard = co_await m.lock();
  all.push_back(spawn([&m]() -> task<> { const auto mine = co_await m.lock(); }));
  all.push_back(spawn([&s]() -> task<> { const auto mine = co_await s.acquire(); }));
  all.push_back(spawn([&e]() -> task<> { co_await e.wait(); }));
  all.push_back(spawn([&l]() -> task<> { co_await l.wait(); }));
  all.push_back(spawn([&b]() -> task<> { co_await b.arrive_and_wait(); }));
  all.push_back(spawn([&c]() -> task<> {
    rondo::mutex own;
    auto mine = co_await own.lock();
    co_await c.wait(mine);
  }));
  all.push_back(spawn([&m, &notified]() -> task<> {
    auto held = co_await m.lock();
    co_await notified.wait(held);
  }));
  all.push_back(spawn([&o]() -> task<> { co_await o.wait(); }));
  all.push_back(spawn([&full]() -> task<> { co_await full.send(1); }));
  all.push_back(spawn([&e]() -> task<> {
    auto other = spawn(spawn_options{.name = "other"}, [&e]() -> task<> { co_await e.wait(); });
    co_await other;
  }));
  co_await settle();
  CHECK(tree() ==
        "root: runs\n"
        "spawned: a lock\n"
        "spawned: semaphore\n"
        "spawned: event\n"
        "spawned: latch\n"
        "spawned: barrier\n"
        "spawned: condition_variable\n"
        "spawned: a lock\n"
        "spawned: oneshot\n"
        "spawned: channel::send\n"
        "spawned: the end of a task other\n"
        "other: event\n");
  e.set();
  co_await settle();
  co_await end(all);
}

LOOP_TEST("format_tasks shows the handlers of a service") {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const auto at = listener.local_endpoint();
  const auto handler = [](rondo::tcp_stream peer) -> task<> {
    char byte = 0;
    co_await peer.read(rondo::mutable_buffer(&byte, 1));
  };
  auto service = spawn(rondo::serve(listener, handler), spawn_options{.name = "service"});
  auto client = co_await rondo::tcp_stream::connect(at);
  std::string text;
  for (int i = 0; i < 1000 && text.find("serve: recv on descriptor ") == text.npos; ++i) {
    co_await sleep_for(1ms);
    text = tree();
  }
  CHECK_THAT(text, ContainsSubstring("\nserve: recv on descriptor "));
  co_await end(service);
}

VIRTUAL_TEST("format_tasks shows who waits for a mutex that a condition_variable has given away") {
  rondo::mutex m;
  rondo::condition_variable changed;
  auto waits = spawn([&]() -> task<> {
    auto held = co_await m.lock();
    co_await changed.wait(held);
  });
  co_await settle();
  {
    const auto held = co_await m.lock();
    changed.notify_one();
    co_await settle();
    CHECK(tree() == "root: runs\nspawned: a lock, again\n");
    waits.cancel();
    co_await settle();
    CHECK(tree() == "root: runs\nspawned: a lock, again, canceled\n");
  }
  co_await waits;
}

LOOP_TEST("format_tasks shows what waits for an awaitable of another library") {
  struct elsewhere {
    std::coroutine_handle<>* sleeper;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> h) const noexcept { *sleeper = h; }
    void await_resume() const noexcept {}
  };
  std::coroutine_handle<> sleeper;
  auto waits = spawn([&sleeper]() -> task<> { co_await elsewhere{&sleeper}; });
  co_await settle();
  CHECK(tree() == "root: runs\nspawned: another library's awaitable\n");
  sleeper.resume();
  co_await waits;
}

VIRTUAL_TEST("format_tasks tells that what a limit is put around runs, and nothing of the limit") {
  std::string seen;
  const auto looks = [&seen]() -> task<> {
    seen = tree();
    co_return;
  };
  co_await with_timeout(5s, looks());  // it is armed when its body is first suspended
  CHECK(seen == "root: with_timeout\n  runs\n");
}

VIRTUAL_TEST("format_tasks tells the place in the source, and the function") {
  auto sleeper = spawn([]() -> task<> { co_await sleep_long(); });
  co_await settle();
  const std::string text = format_tasks(event_loop::current());
  if (places_are_known) {
    CHECK_THAT(text, ContainsSubstring("sleep, 3600.0 s left, at format_tasks.cpp:" +
                                      std::to_string(line_of_sleep) + " in "));
    CHECK_THAT(text, ContainsSubstring("sleep_long"));
    CHECK_THAT(text, !ContainsSubstring("Frame*"));
  }
  sleeper.cancel();
}

VIRTUAL_TEST("format_tasks tells who is canceled and has not ended") {
  auto stubborn = spawn(spawn_options{.name = "stubborn"}, []() -> task<> {
    co_await rondo::shield(sleep_for(1h));
  });
  co_await settle();
  stubborn.cancel();
  co_await settle();
  CHECK(tree() ==
        "root: runs\n"
        "stubborn: shield, canceled\n"
        "  sleep, 3600.0 s left\n");
}

VIRTUAL_TEST("format_tasks shows a tree that is deeper than the stack") {
  struct nested {
    static task<> sleep_at(int depth) {
      if (depth == 0) {
        co_await sleep_for(1h);
      } else {
        co_await when_all(sleep_at(depth - 1));
      }
    }
  };
  constexpr int depth = 3'000;
  auto deep = spawn(nested::sleep_at(depth));
  for (int i = 0; i < 2 * depth; ++i) co_await yield();
  const std::string text = tree();
  CHECK_THAT(text, ContainsSubstring("\n" + std::string(2 * depth, ' ') + "sleep, 3600.0 s left\n"));
  deep.cancel();
}

TEST_CASE("format_tasks of a loop that does not run shows what is spawned, and of an empty one nothing") {
  event_loop loop;
  CHECK(format_tasks(loop).empty());
  auto later = loop.spawn(sleep_long(), spawn_options{.name = "later"});
  CHECK(format_tasks(loop) == "later: is ready\n");
  later.cancel();
}

ON_BOTH_RINGS("with debug, format_tasks tells since when, in real time", {
  rondo::loop_options options;
  options.debug = true;
  const auto root = []() -> task<std::string> {
    auto sleeper = spawn(sleep_long());
    co_await sleep_for(120ms);
    const std::string text = format_tasks(event_loop::current());
    sleeper.cancel();
    co_return text;
  };
  const std::string text = rondo::run(root(), options);
  std::smatch found;
  REQUIRE(std::regex_search(text, found, std::regex("spawned: sleep.*, for ([0-9]+) ms\n")));
  CHECK(std::stoi(found[1]) >= 120);
  CHECK(std::stoi(found[1]) < 60'000);
})
