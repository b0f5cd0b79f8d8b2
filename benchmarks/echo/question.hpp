// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does an echo cost its server? 64 bytes over TCP on the loopback, in one processor's time of
// the server's thread, the kernel's part included:
//
//   connections_1     one client that waits for each answer             per echo
//   connections_50    fifty, so that a system call may serve many       per echo

#include "../support/clients.hpp"

namespace question {

inline constexpr int message = 64;
inline constexpr int buffer = 4096;  // of the server, for each connection
inline constexpr int echoes = 20'000;
inline constexpr int rows[] = {1, 50};

inline const char* name(int connections) {
  return connections == 1 ? "connections_1" : "connections_50";
}

inline bench::row row(const char* contender, int connections) {
  return {"echo", name(connections), contender, echoes, bench::clock::cpu_of_this_thread};
}

/// The clients, and the server's ends of their connections.
struct load : bench::clients {
  explicit load(int connections) : clients(connections, message) {}
};

}  // namespace question
