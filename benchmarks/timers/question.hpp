// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does it cost to sleep, when many do? In the processor time of their thread, the kernel's
// part included:
//
//   sleeps_100000, sleeps_1000000     per sleep of random length up to a second, all begun at once,
//                                     from its beginning to its end
//   cancel_tasks, cancel_operations   per sleep of an hour, from the request that all 100,000 end
//                                     until they have; in a task each, and without
//   memory                            per sleep of the million, in bytes: what the program's memory
//                                     grows by
//
// Nobody may wake before its time; later is for the machine to decide.

#include "../support/memory.hpp"

#include <chrono>
#include <vector>

namespace question {

using clock = std::chrono::steady_clock;

struct size {
  const char* name;
  int sleeps;
};
inline constexpr size sizes[] = {{"sleeps_100000", 100'000}, {"sleeps_1000000", 1'000'000}};

inline bench::row row(const char* contender, const size& s) {
  return {"timers", s.name, contender, double(s.sleeps), bench::clock::cpu_of_this_thread};
}

inline constexpr int canceled = 100'000;
inline bench::row cancel(const char* contender, const char* what) {
  return {"timers", what, contender, double(canceled), bench::clock::cpu_of_this_thread};
}
inline bench::row cancel_tasks(const char* contender) { return cancel(contender, "cancel_tasks"); }
inline bench::row cancel_operations(const char* contender) {
  return cancel(contender, "cancel_operations");
}

/// How long each sleeps: the same for all contenders and samples.
inline std::vector<std::chrono::microseconds> lengths(int sleeps) {
  std::vector<std::chrono::microseconds> all;
  unsigned long state = 1;
  for (int i = 0; i < sleeps; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    all.emplace_back((state >> 33) % 1'000'000);
  }
  return all;
}

/// sleep(lengths) is to sleep as the rows of sizes do.
template <typename F>
void memory(const char* contender, F sleep) {
  if (!bench::wanted("memory")) return;
  bench::in_a_process([&] {
    const auto each = lengths(1'000'000);
    const double before = bench::resident_set();
    sleep(each);
    const double count = double(each.size());
    bench::value("timers", "memory", contender, (bench::peak_of_resident_set() - before) / count,
                 count, "B");
  });
}

}  // namespace question
