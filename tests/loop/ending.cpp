// SPDX-License-Identifier: BSL-1.0

#include <atomic>
#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "loop/told.hpp"
#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;
using rondo::drain_error;
using rondo::event_loop;
using rondo::loop_options;
using rondo::shield;
using rondo::sleep_for;
using rondo::spawn;
using rondo::spawn_options;
using rondo::task;
using rondo::unhandled_error;

namespace {

loop_options patient_for(std::chrono::nanoseconds timeout, std::vector<told>& all) {
  loop_options options = kept_in(all);
  options.drain_timeout = timeout;
  return options;
}

/// Does not end when it is canceled, but when the event is set.
task<> stubborn(rondo::event& e) { co_await shield(e.wait()); }

/// Starts it and ends.
task<int> leave(rondo::event& e) {
  spawn(stubborn(e), spawn_options{.name = "stubborn"});
  co_await sleep_for(1ms);
  co_return 7;
}

}  // namespace

ON_BOTH_RINGS("what has not ended within drain_timeout is shown, and run throws drain_error", {
  std::vector<told> all;
  rondo::event e;
  event_loop loop(patient_for(20ms, all));
  CHECK_THROWS_AS(loop.run(leave(e)), drain_error);
  REQUIRE(all.size() == 1);
  CHECK(all[0].what == unhandled_error::kind::left_over);
  CHECK_THAT(all[0].message,
             ContainsSubstring("has not ended within drain_timeout:\nstubborn: shield"));
  CHECK_THAT(all[0].message, ContainsSubstring("\n  event"));

  // It is still the loop's, which goes on with it.
  loop.run([](rondo::event& it) -> task<> {
    it.set();
    co_return;
  }(e));
  CHECK(all.size() == 1);
})

ON_BOTH_RINGS("what the root was given stays as long as those who are left", {
  std::vector<told> all;
  rondo::event e;
  event_loop loop(patient_for(20ms, all));
  std::string seen;
  const auto root = [&](std::string given) -> task<> {
    spawn([&]() -> task<> {
      co_await stubborn(e);
      seen = given;
    });
    co_await sleep_for(1ms);
  };
  CHECK_THROWS_AS(loop.run(root("what a frame of the root holds, too long for small strings")),
                  drain_error);
  e.set();
  loop.run([]() -> task<> { co_await sleep_for(1ms); }());
  CHECK(seen == "what a frame of the root holds, too long for small strings");
})

ON_BOTH_RINGS("the longest drain_timeout is no limit", {
  std::vector<told> all;
  const auto root = []() -> task<> {
    spawn([]() -> task<> { co_await shield(sleep_for(20ms)); });
    co_await sleep_for(1ms);
  };
  rondo::run(root(), patient_for(std::chrono::nanoseconds::max(), all));
  CHECK(all.empty());
})

ON_BOTH_RINGS("what ends within drain_timeout changes nothing", {
  std::vector<told> all;
  const int value = rondo::run(
      []() -> task<int> {
        spawn([]() -> task<> { co_await shield(sleep_for(5ms)); });
        co_await sleep_for(1ms);
        co_return 7;
      }(),
      patient_for(60s, all));
  CHECK(value == 7);
  CHECK(all.empty());
})

ON_BOTH_RINGS("drain_error is thrown instead of the root's error, which is reported", {
  std::vector<told> all;
  rondo::event e;
  event_loop loop(patient_for(20ms, all));
  const auto root = [](rondo::event& it) -> task<> {
    co_await leave(it);
    throw std::runtime_error("the root's own");
  };
  CHECK_THROWS_AS(loop.run(root(e)), drain_error);
  REQUIRE(all.size() == 2);
  CHECK(all[1].what == unhandled_error::kind::suppressed);
  CHECK(all[1].message == "the root's own");
  loop.post([&e] { e.set(); });
  loop.run([]() -> task<> { co_await sleep_for(1ms); }());
})

ON_BOTH_RINGS("rondo::run abandons a loop whose thread has not ended, and the thread may go on", {
  std::vector<told> all;
  std::promise<void> go_on;
  std::promise<void> gone;
  std::atomic<bool> begun{false};
  const auto root = [&begun, &gone](std::future<void> until) -> task<> {
    spawn([&begun, &gone](std::future<void> f) -> task<> {
      const auto wait = [&begun](std::future<void> g) {
        begun = true;
        g.wait();
      };
      co_await rondo::to_thread(wait, std::move(f));
      gone.set_value();
    }, std::move(until));
    while (!begun) co_await sleep_for(1ms);
  };
  CHECK_THROWS_AS(rondo::run(root(go_on.get_future()), patient_for(20ms, all)), drain_error);
  REQUIRE(all.size() == 1);
  CHECK_THAT(all[0].message, ContainsSubstring("spawned: to_thread"));
  go_on.set_value();
  // The thread has brought its result to a loop that runs no more.
  CHECK(gone.get_future().wait_for(20ms) == std::future_status::timeout);
})

ON_BOTH_RINGS("a loop that was abandoned does not hinder the next run", {
  std::vector<told> all;
  static rondo::event& never_set = *new rondo::event;  // its waiter stays for ever
  CHECK_THROWS_AS(rondo::run(leave(never_set), patient_for(1ms, all)), drain_error);
  CHECK(rondo::run([]() -> task<int> { co_return 3; }()) == 3);
})

ON_BOTH_RINGS("a drain_error that the root throws is its own, and its loop ends as usual", {
  const auto before = rondo_test::open_descriptors();
  const auto root = []() -> task<> {
    throw drain_error("of another loop");
    co_return;
  };
  CHECK_THROWS_AS(rondo::run(root()), drain_error);
  CHECK(rondo_test::open_descriptors() == before);
})

ON_BOTH_RINGS("with virtual time drain_timeout is real, and ends a deadlock", {
  std::vector<told> all;
  loop_options options = patient_for(20ms, all);
  options.clock = rondo::clock::virtual_time;
  rondo::event e;
  event_loop loop(options);
  CHECK_THROWS_AS(loop.run(leave(e)), drain_error);
  REQUIRE(all.size() == 2);
  CHECK_THAT(all[0].message, ContainsSubstring("a deadlock"));
  CHECK_THAT(all[1].message, ContainsSubstring("stubborn"));
  loop.run([](rondo::event& it) -> task<> {
    it.set();
    co_return;
  }(e));
})
