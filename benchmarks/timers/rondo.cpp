// SPDX-License-Identifier: BSL-1.0

// A task for each sleep, with the loop's default options.

#include "question.hpp"

#include <rondo/rondo.hpp>

namespace {

rondo::task<> sleep(std::chrono::microseconds length, int& woken) {
  const auto begun = question::clock::now();
  co_await rondo::sleep_for(length);
  bench::check(question::clock::now() - begun >= length, "not before its time");
  ++woken;
}

rondo::task<int> ask() {
  for (const question::size& size : question::sizes) {
    const auto lengths = question::lengths(size.sleeps);
    bench::row row = question::row("rondo", size);
    row.slow();
    while (row.again()) {
      int woken = 0;
      std::vector<rondo::task<>> sleepers;
      sleepers.reserve(lengths.size());
      for (const auto length : lengths) sleepers.push_back(sleep(length, woken));
      co_await rondo::when_all(std::move(sleepers));
      bench::check(woken == size.sleeps, "all wake");
    }
  }
  co_return 0;
}

}  // namespace

int main() { return rondo::run(ask()); }
