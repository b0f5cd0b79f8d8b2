// SPDX-License-Identifier: BSL-1.0

// The least code that does the job, frames from the general allocator.

#include "question.hpp"

#include "../support/hand_task.hpp"

template <typename T>
using task = hand::task<T, hand::malloc_frames>;

int main() {
  const auto spawn = [](task<int> child) { return hand::spawned(std::move(child)); };
  const auto yield = [] { return hand::yield(); };
  return hand::run(question::ask<task>("hand_malloc", spawn, yield));
}
