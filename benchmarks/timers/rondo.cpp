// SPDX-License-Identifier: BSL-1.0

// A task for each sleep but where it says otherwise, with the loop's default options.

#include "question.hpp"

#include <rondo/rondo.hpp>

#include <span>

namespace {

rondo::task<> sleep(std::chrono::microseconds length, int& woken) {
  const auto begun = question::clock::now();
  co_await rondo::sleep_for(length);
  bench::check(question::clock::now() - begun >= length, "not before its time");
  ++woken;
}

rondo::task<> sleep_long() { co_await rondo::sleep_for(std::chrono::hours(1)); }

/// `begin` makes what sleeps for an hour.
template <typename F>
rondo::task<> cancel(bench::row& row, F& begin) {
  while (row.again()) {
    std::vector<decltype(begin())> sleepers;
    sleepers.reserve(question::canceled);
    for (int i = 0; i < question::canceled; ++i) sleepers.push_back(begin());
    auto all = rondo::spawn(rondo::when_all(std::move(sleepers)));
    co_await rondo::sleep_for(std::chrono::milliseconds(10));  // all have begun
    row.begin();
    all.cancel();
    const auto ended = co_await rondo::as_result(std::move(all));
    bench::check(!ended && ended.error() == rondo::errc::canceled, "all were canceled");
  }
}

rondo::task<> cancel_many() {
  bench::row tasks = question::cancel_tasks("rondo");
  co_await cancel(tasks, sleep_long);
  bench::row operations = question::cancel_operations("rondo");
  auto operation = [] { return rondo::sleep_for(std::chrono::hours(1)); };
  co_await cancel(operations, operation);
}

rondo::task<> sleep_all(std::span<const std::chrono::microseconds> lengths) {
  int woken = 0;
  std::vector<rondo::task<>> sleepers;
  sleepers.reserve(lengths.size());
  for (const auto length : lengths) sleepers.push_back(sleep(length, woken));
  co_await rondo::when_all(std::move(sleepers));
  bench::check(woken == static_cast<int>(lengths.size()), "all wake");
}

rondo::task<> ask() {
  co_await cancel_many();
  for (const question::size& size : question::sizes) {
    const auto lengths = question::lengths(size.sleeps);
    bench::row row = question::row("rondo", size);
    row.slow();
    while (row.again()) co_await sleep_all(lengths);
  }
}

}  // namespace

int main() {
  question::memory("rondo", [](const auto& lengths) { rondo::run(sleep_all(lengths)); });
  rondo::run(ask());
}
