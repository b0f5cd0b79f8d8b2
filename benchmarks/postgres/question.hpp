// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does a layer over libpq cost? Statements that give one row with one number, to the server
// that the environment names (PGHOST, PGPORT, PGUSER):
//
//   single      one after the other, each with a round trip         per statement
//   pipeline    a prepared one, 100,000 times, 1000 to a synchronisation point   per statement

#include <cstdlib>

#include "../support/bench.hpp"

namespace question {

inline constexpr const char* sql = "select $1::int";
inline constexpr int alone = 2'000;
inline constexpr int batches = 100;
inline constexpr int each = 1'000;

inline void need_server() {
  if (std::getenv("PGHOST") == nullptr) bench::skip("needs a PostgreSQL server: set PGHOST, ...");
}
inline bench::row single(const char* contender) { return {"postgres", "single", contender, alone}; }
inline bench::row pipeline(const char* contender) {
  return {"postgres", "pipeline", contender, double{batches} * each};
}

}  // namespace question
