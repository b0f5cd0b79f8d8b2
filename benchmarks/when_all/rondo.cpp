// SPDX-License-Identifier: BSL-1.0

// rondo::when_all of a range: tasks give a vector of their results, operations need no task.

#include "question.hpp"

#include <rondo/rondo.hpp>

#include <numeric>

namespace {

rondo::task<int> ask() {
  const auto when_all = [](std::vector<rondo::task<int>> children) {
    return rondo::when_all(std::move(children));
  };
  const auto add = [](const std::vector<int>& results) {
    return std::accumulate(results.begin(), results.end(), 0L);
  };
  co_await question::ask_tasks<rondo::task>("rondo", when_all, add);

  const auto all_nops = [](int count) {
    std::vector<decltype(rondo::io::nop())> operations;
    operations.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) operations.push_back(rondo::io::nop());
    return rondo::when_all(std::move(operations));
  };
  co_return co_await question::ask_nops<rondo::task>("rondo", all_nops);
}

}  // namespace

int main() { return rondo::run(ask()); }
