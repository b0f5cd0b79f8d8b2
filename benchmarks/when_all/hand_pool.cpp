// SPDX-License-Identifier: BSL-1.0

// The least code that does the job, frames from the thread's own free lists. The limit for tasks.
// It gives the children back, so that results are read where they are.

#include "question.hpp"

#include "../support/hand_task.hpp"

template <typename T>
using task = hand::task<T, hand::pooled_frames>;

int main() {
  const auto when_all = [](std::vector<task<int>> children) {
    return hand::when_all(std::move(children));
  };
  const auto add = [](std::vector<task<int>>& ended) {
    long sum = 0;
    for (auto& child : ended) sum += child.take();
    return sum;
  };
  return hand::run(question::ask_tasks<task>("hand_pool", when_all, add));
}
