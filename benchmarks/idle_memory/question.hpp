// SPDX-License-Identifier: BSL-1.0
#pragma once

// How much memory does a connection take that is silent? Each has been sent one byte and has
// answered it; then the server waits for more:
//
//   shared        whoever receives something gets a buffer, nobody holds one    per connection
//   own_buffer    each connection keeps 1 KiB of its own                        per connection
//
// In bytes that are in the server's memory (its resident set), without the kernel's part: sockets,
// the same for all, and what it keeps for a wait, which is more with io_uring than with epoll. Some
// connections come first, so that what is there once is there; the row is what as many as possible
// more add, up to 10,000: the limit of open files has a say.

#include <sys/resource.h>

#include <algorithm>

#include "../support/clients.hpp"
#include "../support/memory.hpp"

namespace question {

inline constexpr int first = 500;
inline constexpr std::size_t own_buffer = 1024;

/// Both ends of each are open in this process until the client's is on its own.
inline int as_many_as_possible() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const rlim_t room = std::min<rlim_t>(files.rlim_max, 1 << 20);
  const int most = (static_cast<int>(room) - first - 100) / 2;
  if (most < 2'000) bench::skip("needs room for 2000 connections: ulimit -n 5000");
  return std::min(most, 10'000);
}

/// Calls f(row) for both rows, each in a process of its own: memory that was freed is not there.
template <typename F>
void at_each_row(F f) {
  for (const char* row : {"shared", "own_buffer"}) {
    if (!bench::wanted(row)) continue;
    bench::in_a_process([&] { f(row); });
  }
}

inline bool is_shared(const char* row) { return std::strcmp(row, "shared") == 0; }

/// Made before the server, which serves warm.fds, calls begin(), serves all.fds, calls end() once
/// each has been answered, and closes them all.
class connections {
 public:
  void begin() { before_ = bench::resident_set(); }
  void end(const char* row, const char* contender) {
    const double more = bench::resident_set() - before_;
    bench::value("idle_memory", row, contender, more / most_, most_, "B");
  }

 private:
  int most_ = as_many_as_possible();
  double before_ = 0;
  static bool ask_once(const std::vector<int>& fds) { return bench::ask(fds, 1, 1); }

 public:
  bench::connections warm{first, ask_once};
  bench::connections all{most_, ask_once};
};

}  // namespace question
