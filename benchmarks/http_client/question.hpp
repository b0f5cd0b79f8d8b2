// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does a layer over libcurl cost? Small answers of the server that HTTP_URL names, over 50
// connections that are kept, each asking anew when it has its answer:
//
//   get       2000 of them      time per request: its inverse is the throughput
//   get_cpu   the same          processor time of the client's thread
//
// with_nginx.sh starts a server for what it runs.

#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "../support/bench.hpp"

namespace question {

inline constexpr int connections = 50;
inline constexpr int requests = 2'000;
inline constexpr std::string_view answer = R"({"answer":42})";

inline std::string url() {
  const char* const named = std::getenv("HTTP_URL");
  if (named == nullptr) {
    bench::skip("needs a server: benchmarks/http_client/with_nginx.sh benchmarks/run.sh ...");
  }
  return named;
}
inline bench::row get(const char* contender) {
  return {"http_client", "get", contender, requests};
}
inline bench::row get_cpu(const char* contender) {
  return {"http_client", "get_cpu", contender, requests, bench::clock::cpu_of_this_thread};
}

}  // namespace question
