// SPDX-License-Identifier: BSL-1.0
#pragma once

// How much memory a program has: what it measures runs in a process of its own, as memory that was
// freed is used again.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.hpp"

namespace bench {

/// What is in memory of this process, in bytes.
inline double resident_set() {
  long pages = 0;
  std::FILE* const file = std::fopen("/proc/self/statm", "r");
  check(file && std::fscanf(file, "%*d %ld", &pages) == 1, "/proc/self/statm");
  std::fclose(file);
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// The most that this was since the process began, or since its fork.
inline double peak_of_resident_set() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  return static_cast<double>(used.ru_maxrss) * 1024;
}

/// Calls f() in a child; ends this program if that was skipped or failed.
template <typename F>
void in_a_process(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    f();
    std::exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) std::exit(77);
  check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a child ends well");
}

}  // namespace bench
