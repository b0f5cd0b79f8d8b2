// SPDX-License-Identifier: BSL-1.0
//
// What holds for everything that can be awaited, and that nothing that can be awaited is missing
// here.

#include <cxxabi.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <typeinfo>

#include "awaitables/table.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

/// A row may give a handle by reference.
template <typename A>
A&& given(A& what) {
  return std::move(what);
}
template <typename T>
T& given(std::reference_wrapper<T>& what) {
  return what.get();
}

/// How awaiting a row's awaitable ends, as a code.
template <typename Make>
task<std::error_code> end_of(Make make) {
  try {
    auto what = make();
    static_cast<void>(co_await given(what));
  } catch (const std::system_error& e) {
    co_return e.code();
  } catch (const operation_canceled&) {
    co_return errc::canceled;
  }
  co_return std::error_code();
}

template <typename A>
struct state_name {
  static std::string get() {
    int status = 0;
    char* const text =
        abi::__cxa_demangle(typeid(detail::state_of<A>).name(), nullptr, nullptr, &status);
    std::string name(status == 0 ? text : "");
    std::free(text);
    return name;
  }
};
template <typename T>
struct state_name<std::reference_wrapper<T>> : state_name<T> {};

/// What in the headers makes something awaitable: the states and the operations' structs.
std::set<std::string> awaitables_in_headers() {
  const std::regex state("using state_type = (?:detail::)?(\\w+)");
  const std::regex member_state("class (\\w+)(?:<T>)?::state_type ");
  const std::regex operation("struct (\\w+_op) \\{");
  const std::regex rule("(?:arguments|range|lanes)_description<detail::\\w+");
  std::set<std::string> found;
  const std::filesystem::path root = std::filesystem::path(RONDO_SOURCE_DIR) / "include" / "rondo";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    const std::string path = entry.path().string();
    if (!path.ends_with(".hpp") || path.find("/http") != path.npos ||
        path.find("/postgres") != path.npos) {
      continue;
    }
    std::ifstream in(path);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    text = std::regex_replace(text, std::regex("//[^\n]*"), "");
    const auto collect = [&](const std::regex& pattern, std::size_t group) {
      for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) {
        found.insert((*it)[group].str());
      }
    };
    collect(state, 1);
    collect(member_state, 1);
    collect(operation, 1);
    collect(rule, 0);
  }
  for (const char* const no_state : {"State", "state_for", "interval"}) found.erase(no_state);
  return found;
}

}  // namespace

LOOP_TEST("everything that waits ends as canceled when it is canceled in flight") {
  co_await each_that_waits([](const char* name, auto make) -> task<> {
    INFO(name);
    auto running = spawn(end_of(make));
    co_await round_trip();
    CHECK_FALSE(running.done());
    running.cancel();
    const std::error_code code = co_await running;
    CHECK(code == errc::canceled);
  });
}

LOOP_TEST("everything that waits ends as canceled in a task that is canceled already") {
  co_await each_that_waits([](const char* name, auto make) -> task<> {
    INFO(name);
    auto running = spawn(end_of(make));
    running.cancel();
    const std::error_code code = co_await running;
    CHECK(code == errc::canceled);
  });
}

LOOP_TEST("everything that waits ends as canceled when another one wins, and so lets it win") {
  co_await each_that_waits([](const char* name, auto make) -> task<> {
    INFO(name);
    const auto won = co_await when_any(end_of(make), round_trip());
    CHECK(won.index() == 1);
  });
}

LOOP_TEST("everything that waits can be limited") {
  co_await each_that_waits([](const char* name, auto make) -> task<> {
    INFO(name);
    const std::error_code code = co_await with_timeout(1ms, end_of(make));
    CHECK(code == errc::canceled);  // end_of sees the cancellation and makes a value of it
  });
}

LOOP_TEST("a cancellation is a result for those who give results") {
  co_await each_that_gives_a_result([](const char* name, auto make) -> task<> {
    INFO(name);
    auto running = spawn(end_of(make));
    co_await round_trip();
    running.cancel();
    const std::error_code code = co_await running;
    CHECK(!code);
  });
}

LOOP_TEST("what is short ends, and whoever cancels it finds it ended or canceled") {
  co_await each_that_is_short([](const char* name, auto make) -> task<> {
    INFO(name);
    const std::error_code alone = co_await end_of(make);
    CHECK(!alone);
    auto running = spawn(end_of(make));
    co_await yield();
    running.cancel();
    const std::error_code code = co_await running;
    const bool fine = !code || code == errc::canceled || code == std::errc::already_connected;
    CHECK(fine);
  });
}

LOOP_TEST("what is made and dropped does nothing") {
  const auto make_and_drop = [](const char*, auto make) -> task<> {
    static_cast<void>(make());
    co_return;
  };
  co_await each_that_waits(make_and_drop);
  co_await each_that_gives_a_result(make_and_drop);
  co_await each_that_is_short(make_and_drop);
  CHECK(event_loop::current().stats().timers == 0);
}

TEST_CASE("cancellations of everything leave no descriptor, no timer and no memory behind") {
  const auto all = []() -> task<> {
    const auto cancel_it = [](const char*, auto make) -> task<> {
      auto running = spawn(end_of(make));
      co_await round_trip();
      running.cancel();
      static_cast<void>(co_await running);
    };
    co_await each_that_waits(cancel_it);
    co_await each_that_gives_a_result(cancel_it);
    co_await yield();
    CHECK(event_loop::current().stats().timers == 0);
  };
  rondo::run(all());  // what is kept for the next time is there
  const auto descriptors = rondo_test::open_descriptors();
  const auto blocks = rondo_test::live_blocks();
  rondo::run(all());
  CHECK(rondo_test::open_descriptors() == descriptors);
  CHECK(rondo_test::live_blocks() <= blocks);
}

LOOP_TEST("nothing that can be awaited is missing from the table") {
  std::string names;
  const auto note = [&names](const char*, auto make) -> task<> {
    names += state_name<decltype(make())>::get();
    names += '\n';
    co_return;
  };
  co_await each_that_waits(note);
  co_await each_that_gives_a_result(note);
  co_await each_that_is_short(note);
  // Awaited inside the rows of task_group, serve, and signals.
  names += "child_state group_join next_change fill_op";
  for (const std::string& wanted : awaitables_in_headers()) {
    INFO(wanted);
    std::string text = wanted;
    for (const auto& [from, to] : {std::pair("_description<detail::", "_state<rondo::detail::")}) {
      const auto at = text.find(from);
      if (at != text.npos) text.replace(at, std::string(from).size(), to);
    }
    CHECK(std::regex_search(names, std::regex("\\b" + text + "\\b")));
  }
}
