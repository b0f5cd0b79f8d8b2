// SPDX-License-Identifier: BSL-1.0

#include <rondo/compose/when_all_settled.hpp>

#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <vector>

#include "compose/children.hpp"
#include "support/helpers.hpp"

using rondo::max_concurrency;
using rondo::operation_canceled;
using rondo::result;
using rondo::task;
using rondo::when_all_settled;
using namespace rondo::test;

namespace {

task<int> odd_ones_fail(int n) {
  if (n % 2 == 1) throw std::system_error(std::make_error_code(std::errc::io_error));
  co_return n;
}

}  // namespace

TASK_TEST("when_all_settled gives a result for each, and an error cancels nobody") {
  gate g;
  g.open();
  std::string log;
  auto ends = co_await when_all_settled(fails(1), step(log, 'b', g), nothing());
  static_assert(std::is_same_v<decltype(ends), std::tuple<result<>, result<int>, result<>>>);
  CHECK(!std::get<0>(ends));
  CHECK_THROWS_AS(std::get<0>(ends).value(), oops);
  CHECK(std::get<1>(ends).value() == 'b');
  CHECK(std::get<2>(ends).has_value());
}

TASK_TEST("when_all_settled over a range keeps the order") {
  std::vector<task<int>> all;
  for (int i = 0; i < 4; ++i) all.push_back(odd_ones_fail(i));
  const std::vector<result<int>> ends = co_await when_all_settled(std::move(all));
  REQUIRE(ends.size() == 4);
  CHECK(*ends[2] == 2);
  CHECK(ends[3].error() == std::errc::io_error);
  const auto none = co_await when_all_settled(std::vector<task<int>>());
  CHECK(none.empty());
}

TASK_TEST("when_all_settled with a limit keeps the order, too") {
  const auto ends = co_await when_all_settled(pulled(10, odd_ones_fail), max_concurrency{3});
  REQUIRE(ends.size() == 10);
  CHECK(*ends[8] == 8);
  CHECK(!ends[9].has_value());
}

TASK_TEST("values that can only be moved are moved") {
  const auto make = [](int n) -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(n); };
  std::vector<task<std::unique_ptr<int>>> all;
  all.push_back(make(1));
  all.push_back(make(2));
  auto ends = co_await when_all_settled(std::move(all), max_concurrency{1});
  CHECK(**ends[1] == 2);
}

TEST_CASE("a canceled when_all_settled ends everybody and says so in the results") {
  manual_loop loop;
  gate never;
  std::string log;
  manual_loop::root root(loop, when_all_settled(step(log, 'a', never), number(1)));
  root.start();
  root.line.cancel();
  loop.run_until_idle();
  REQUIRE(root.done());
  auto ends = root.take();
  CHECK(std::get<0>(ends).error() == rondo::errc::canceled);
  CHECK(*std::get<1>(ends) == 1);
}

TASK_TEST("a limit of nobody is refused") {
  bool refused = false;
  try {
    static_cast<void>(co_await when_all_settled(std::vector<task<int>>(), max_concurrency{0}));
  } catch (const std::invalid_argument&) {
    refused = true;
  }
  CHECK(refused);
}

TEST_CASE("with a limit, when_all_settled starts nothing more when it is canceled") {
  manual_loop loop;
  gate never;
  int started = 0;
  const auto endless = [&](int n) -> task<int> {
    ++started;
    if (n == 1) throw oops(1);
    if (n != 0) co_await never.wait();
    co_return n;
  };
  const auto canceled = [&](auto&& range) {
    started = 0;
    auto work = when_all_settled(std::forward<decltype(range)>(range), max_concurrency{3});
    manual_loop::root root(loop, std::move(work));
    root.start();
    loop.run_until_idle();
    CHECK(started == 5);
    root.line.cancel();
    loop.run_until_idle();
    REQUIRE(root.done());
    CHECK(started == 5);
    auto ends = root.take();
    CHECK(*ends[0] == 0);  // what has ended before is kept
    CHECK_THROWS_AS(ends[1].value(), oops);
    for (std::size_t i = 2; i < ends.size(); ++i) {
      CHECK(ends[i].error() == rondo::errc::canceled);
    }
    return ends.size();
  };
  CHECK(canceled(std::views::iota(0) | std::views::transform(endless)) == 5);
  CHECK(canceled(std::views::iota(0, 9) | std::views::transform(endless)) == 9);
  std::vector<task<int>> tasks;
  for (int i = 0; i < 7; ++i) tasks.push_back(endless(i));
  CHECK(canceled(std::move(tasks)) == 7);
}
