// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does a layer over io_uring cost? The operation that does nothing, so that nothing else
// shows:
//
//   depth_1     one after the other: a system call each                per operation
//   depth_64    64 in flight at any time: one system call for many     per operation
//   timeout_64  the same, each with a time limit that it keeps         per operation

#include "../support/bench.hpp"

#include <chrono>

namespace question {

using clock = std::chrono::steady_clock;

inline constexpr int depth = 64;
inline constexpr int alone = 5'000;
inline constexpr int each = 1'500;  // of the 64
inline constexpr int together = depth * each;
inline constexpr std::chrono::seconds limit{1};

inline bench::row depth_1(const char* contender) { return {"nop", "depth_1", contender, alone}; }
inline bench::row depth_64(const char* contender) {
  return {"nop", "depth_64", contender, together};
}
inline bench::row timeout_64(const char* contender) {
  return {"nop", "timeout_64", contender, together};
}

}  // namespace question
