// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does it cost to wait for many? A range of N children, each created for this one wait:
//
//   tasks_10, tasks_1000, tasks_100000    tasks that return an int at once        per child
//   nops_10, nops_64                      plain io_uring operations, no tasks     per operation
//
// Creating and ending the children is part of it. The rows of operations include the system call
// that all of one range share.

#include "../support/bench.hpp"

#include <string>
#include <utility>
#include <vector>

namespace question {

inline constexpr int tasks_per_sample = 300'000;
inline constexpr int nops_per_sample = 30'000;
inline constexpr int task_counts[] = {10, 1'000, 100'000};
inline constexpr int nop_counts[] = {10, 64};

constexpr long sum_to(long n) { return n * (n - 1) / 2; }

template <template <typename> typename Task>
[[gnu::noinline]] Task<int> child(int n) {
  co_return n;
}

/// `when_all(children)` is awaited; `add(all)` adds up the results that this gave.
template <template <typename> typename Task, typename WhenAll, typename Add>
Task<int> ask_tasks(const char* contender, WhenAll when_all, Add add) {
  for (const int count : task_counts) {
    const int repeats = tasks_per_sample / count;
    const std::string name = "tasks_" + std::to_string(count);
    bench::row row{"when_all", name.c_str(), contender, double(count) * repeats};
    while (row.again()) {
      for (int i = 0; i < repeats; ++i) {
        std::vector<Task<int>> children;
        children.reserve(static_cast<std::size_t>(count));
        for (int n = 0; n < count; ++n) children.push_back(child<Task>(n));
        auto all = co_await when_all(std::move(children));
        bench::check(add(all) == sum_to(count), "each child's result, once");
      }
    }
  }
  co_return 0;
}

/// `all_nops(n)` is awaited, and has then checked that n operations succeeded.
template <template <typename> typename Task, typename AllNops>
Task<int> ask_nops(const char* contender, AllNops all_nops) {
  for (const int count : nop_counts) {
    const int repeats = nops_per_sample / count;
    const std::string name = "nops_" + std::to_string(count);
    bench::row row{"when_all", name.c_str(), contender, double(count) * repeats};
    while (row.again()) {
      for (int i = 0; i < repeats; ++i) co_await all_nops(count);
    }
  }
  co_return 0;
}

}  // namespace question
