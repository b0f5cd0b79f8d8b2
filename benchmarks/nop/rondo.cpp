// SPDX-License-Identifier: BSL-1.0

// rondo::io::nop in tasks, with the loop's default options.

#include "question.hpp"

#include <rondo/rondo.hpp>

#include <numeric>
#include <vector>

namespace {

rondo::task<int> repeat(int times) {
  int completed = 0;
  for (int i = 0; i < times; ++i) {
    co_await rondo::io::nop();
    ++completed;
  }
  co_return completed;
}

rondo::task<int> repeat_in_time(int times) {
  int completed = 0;
  for (int i = 0; i < times; ++i) {
    co_await rondo::with_timeout(question::limit, rondo::io::nop());
    ++completed;
  }
  co_return completed;
}

rondo::task<> together(bench::row& row, rondo::task<int> (*worker)(int)) {
  while (row.again()) {
    std::vector<rondo::task<int>> workers;
    for (int i = 0; i < question::depth; ++i) workers.push_back(worker(question::each));
    const auto completed = co_await rondo::when_all(std::move(workers));
    bench::check(std::accumulate(completed.begin(), completed.end(), 0) == question::together,
                 "as many completions as operations");
  }
}

rondo::task<int> ask() {
  bench::row one = question::depth_1("rondo");
  while (one.again()) {
    const int completed = co_await repeat(question::alone);
    bench::check(completed == question::alone, "as many completions as operations");
  }

  bench::row many = question::depth_64("rondo");
  co_await together(many, repeat);
  bench::row limited = question::timeout_64("rondo");
  co_await together(limited, repeat_in_time);
  co_return 0;
}

}  // namespace

int main() { return rondo::run(ask()); }
