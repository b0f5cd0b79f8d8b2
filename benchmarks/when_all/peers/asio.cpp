// SPDX-License-Identifier: BSL-1.0

// A co_spawn for each child, and a countdown.

#include "../question.hpp"

#include <asio.hpp>

#include <numeric>

#include "../../support/asio_task.hpp"

int main() {
  const auto when_all = [](std::vector<peer::task<int>> children) {
    return peer::when_all(std::move(children));
  };
  const auto add = [](const std::vector<int>& results) {
    return std::accumulate(results.begin(), results.end(), 0L);
  };
  return peer::run(question::ask_tasks<peer::task>("asio", when_all, add));
}
