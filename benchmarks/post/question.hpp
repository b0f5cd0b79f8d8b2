// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does it cost to hand something to a loop from another thread?
//
//   items_...        numbers from a thread to a loop that runs, as fast as it can    per number
//   ping_pong_...    two loops on two threads that wake each other in turns          per round trip
//   ..._one_core     both threads on one core: what the processor does for it
//   ..._two_cores    with the way between the cores; only where there are two
//
// A ping-pong begins when both sleep, and each wakes the other from its sleep.

#include <string>

#include "../support/bench.hpp"
#include "../support/cores.hpp"

namespace question {

inline constexpr int items = 300'000;
inline constexpr int trips = 2'000;

constexpr long sum_to(long n) { return n * (n - 1) / 2; }

struct place {
  const char* name;
  int here;   // the core of the loop that is asked first, and of main()
  int there;  // that of the other thread
};

/// Calls f(place) for each place that this machine has.
template <typename F>
void at_each_place(F f) {
  const int first = ::sched_getcpu();
  const place places[] = {{"one_core", first, first}, {"two_cores", first, bench::next_core()}};
  for (const place& p : places) {
    if (p.here == p.there && &p != places) continue;
    bench::pin_this_thread(p.here);
    f(p);
  }
}

inline std::string name(const char* what, const place& p) {
  return std::string(what) + "_" + p.name;
}

}  // namespace question
