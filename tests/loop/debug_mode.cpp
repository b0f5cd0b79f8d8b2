// SPDX-License-Identifier: BSL-1.0

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <rondo/core/source_location.hpp>

#include "loop/told.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;
using rondo::event_loop;
using rondo::loop_options;
using rondo::sleep_for;
using rondo::spawn;
using rondo::spawn_options;
using rondo::task;
using rondo::unhandled_error;
using rondo::yield;

namespace {

// Options are named as one needs them, without a warning about the others.
const loop_options only_this{.debug = true};

loop_options debugging(std::vector<told>& all) { return kept_in(all, only_this); }

/// More than the default threshold.
void block() { std::this_thread::sleep_for(150ms); }

task<> nothing() { co_return; }

task<> sleep_long() { co_await sleep_for(1h); }

constexpr int line_of_sleep = __LINE__ + 2;
task<> hog() {
  co_await sleep_for(1ms);
  block();
}

#if defined(__cpp_lib_source_location)
constexpr bool places_are_known = true;
#else
constexpr bool places_are_known = false;
#endif

}  // namespace

ON_BOTH_RINGS("debug: a task that keeps the loop is reported, with its name and its place", {
  std::vector<told> all;
  const std::string from =
      places_are_known ? "debug_mode.cpp:" + std::to_string(line_of_sleep) + " in " : "its start";
  rondo::run(
      []() -> task<> { co_await spawn(hog(), spawn_options{.name = "hog"}); }(),
      debugging(all));
  REQUIRE(all.size() == 1);
  CHECK(all[0].what == unhandled_error::kind::slow_resume);
  CHECK(all[0].name == "hog");
  CHECK_THAT(all[0].message, ContainsSubstring("task hog kept the loop for "));
  CHECK_THAT(all[0].message,
             ContainsSubstring(" ms, from " + from));
})

ON_BOTH_RINGS("debug: so is one that does before it waits for anything, and the root", {
  std::vector<told> all;
  rondo::run(
      []() -> task<> {
        block();
        co_await spawn(spawn_options{.name = "starter"}, []() -> task<> {
          block();
          co_return;
        });
      }(),
      debugging(all));
  REQUIRE(all.size() == 2);
  CHECK(all[0].what == unhandled_error::kind::slow_resume);
  CHECK(all[0].name.empty());
  CHECK_THAT(all[0].message, ContainsSubstring("a task kept the loop for "));
  CHECK_THAT(all[0].message, ContainsSubstring("from its start on"));
  CHECK(all[1].name == "starter");
})

ON_BOTH_RINGS("debug: what is faster than the threshold is not reported, and the threshold counts", {
  std::vector<told> all;
  loop_options options = debugging(all);
  options.slow_resume_threshold = 1h;
  const auto root = []() -> task<> {
    block();
    co_await yield();
    block();
  };
  rondo::run(root(), options);
  CHECK(all.empty());
  options.slow_resume_threshold = 1ms;
  rondo::run(root(), options);
  CHECK(all.size() == 2);
})

LOOP_TEST("without debug nothing of it is reported") {
  static_cast<void>(nothing());
  block();
  co_await yield();
  auto left = spawn(sleep_long());
  static_cast<void>(left);
}

ON_BOTH_RINGS("debug: a task that was made and not awaited is reported", {
  std::vector<told> all;
  rondo::run(
      []() -> task<> {
        static_cast<void>(nothing());
        co_await nothing();
        auto kept = nothing();
        auto moved = std::move(kept);
        co_await std::move(moved);
      }(),
      debugging(all));
  REQUIRE(all.size() == 1);
  CHECK(all[0].what == unhandled_error::kind::never_awaited);
  CHECK_THAT(all[0].message, ContainsSubstring("without having been awaited"));
})

ON_BOTH_RINGS("debug: tasks that an error keeps from starting were not forgotten", {
  std::vector<told> all;
  const auto fail = []() -> task<> {
    throw std::runtime_error("the first");
    co_return;
  };
  const auto three = [fail] {
    std::vector<task<>> tasks;
    tasks.push_back(fail());
    tasks.push_back(nothing());
    tasks.push_back(nothing());
    return tasks;
  };
  rondo::run(
      [three]() -> task<> {
        const auto a = co_await rondo::as_result(rondo::when_all(three()));
        const auto b = co_await rondo::as_result(
            rondo::when_all(three(), rondo::max_concurrency{1}));
        CHECK(!a);
        CHECK(!b);
        auto ends = rondo::as_completed(three(), rondo::max_concurrency{1});
        static_cast<void>(co_await ends.next());
        co_await ends.close();
      }(),
      debugging(all));
  for (const told& each : all) CHECK(each.what != unhandled_error::kind::never_awaited);
})

ON_BOTH_RINGS("debug: a task that is left when the root ends is reported, with what it waits for", {
  std::vector<told> all;
  rondo::run(
      []() -> task<> {
        spawn(spawn_options{.name = "forgotten"},
              []() -> task<> { co_await sleep_for(1h); });
        auto ended = spawn(nothing());
        auto canceled = spawn([]() -> task<> { co_await sleep_for(1h); });
        co_await sleep_for(1ms);
        canceled.cancel();
      }(),
      debugging(all));
  REQUIRE(all.size() == 1);
  CHECK(all[0].what == unhandled_error::kind::left_over);
  CHECK(all[0].name == "forgotten");
  CHECK_THAT(all[0].message,
             ContainsSubstring("task forgotten was left when the root had ended, and is canceled: "
                               "sleep"));
})

ON_BOTH_RINGS("RONDO_DEBUG=1 turns debug on, and 0 does not", {
  const auto debug = [](const char* value) {
    ::setenv("RONDO_DEBUG", value, 1);
    const bool on = event_loop().options().debug;
    ::unsetenv("RONDO_DEBUG");
    return on;
  };
  CHECK(debug("1"));
  CHECK(!debug("0"));
  CHECK(!debug(""));
  CHECK(!event_loop().options().debug);
})

ON_BOTH_RINGS("debug: who is ready when the root ends does not run any more, as without", {
  for (const bool debug : {false, true}) {
    std::vector<told> all;
    loop_options options = debugging(all);
    options.debug = debug;
    int turns = 0;
    const int seen = rondo::run(
        [](int& n) -> task<int> {
          spawn([&n]() -> task<> {
            for (;; ++n) co_await yield();
          });
          for (int i = 0; i < 5; ++i) co_await yield();
          co_return n;
        }(turns),
        options);
    CHECK(seen > 0);
    CHECK(turns == seen);
  }
})

ON_BOTH_RINGS("debug: the default handler prints what it finds, and suppressed errors", {
  const auto printed = stderr_of([] {
    loop_options options;
    options.debug = true;
    const auto fail = [](const char* why) -> task<> {
      throw std::runtime_error(why);
      co_return;
    };
    rondo::run(
        [fail]() -> task<> {
          static_cast<void>(nothing());
          co_await rondo::first_success(fail("the first"), nothing());
        }(),
        options);
    return 0;
  });
  CHECK(exited_with(printed.status, 0));
  CHECK(printed.text ==
        "rondo: a task was made and destroyed without having been awaited; co_await it, or give it "
        "to a combinator or to spawn\n"
        "rondo: unhandled error in a task: the first\n");
})

ON_BOTH_RINGS("a RONDO_TRACE that cannot be written is an error that names it", {
  const int status = in_child([] {
    ::setenv("RONDO_TRACE", "/no/such/folder/trace.json", 1);
    try {
      event_loop loop;
    } catch (const std::system_error& e) {
      const bool named = std::string_view(e.what()).find("RONDO_TRACE=/no/such/folder/trace.json") !=
                         std::string_view::npos;
      return named && e.code() == std::errc::no_such_file_or_directory ? 0 : 1;
    }
    return 2;
  });
  CHECK(exited_with(status, 0));
})
