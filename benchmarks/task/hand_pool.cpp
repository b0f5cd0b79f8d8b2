// SPDX-License-Identifier: BSL-1.0

// The least code that does the job, frames from the thread's own free lists. The limit.

#include "question.hpp"

#include "../support/hand_task.hpp"

template <typename T>
using task = hand::task<T, hand::pooled_frames>;

int main() {
  const auto spawn = [](task<int> child) { return hand::spawned(std::move(child)); };
  const auto yield = [] { return hand::yield(); };
  return hand::run(question::ask<task>("hand_pool", spawn, yield));
}
