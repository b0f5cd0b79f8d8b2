// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which core a thread runs on. run.sh gives each program one; a question that is about two takes
// the next one as well.

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <cstddef>

#include "bench.hpp"

namespace bench {

inline void pin_this_thread(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<std::size_t>(core), &cores);
  check(::pthread_setaffinity_np(::pthread_self(), sizeof cores, &cores) == 0, "a core to run on");
}

/// The one after that which this thread runs on: the same if there is only one.
inline int next_core() {
  return (::sched_getcpu() + 1) % static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace bench
