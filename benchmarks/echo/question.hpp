// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does an echo cost its server? 64 bytes over TCP on the loopback:
//
//   connections_1     one client that waits for each answer, on the server's core:
//                     processor time of the server's thread, the kernel's included      per echo
//   connections_50    fifty, so that a system call may serve many                       per echo
//   two_cores_...     so many connections with clients on another core that ask as
//                     fast as they are answered: time                                   per echo
//   paced_...         the same, but messages are due at a fixed rate that leaves the
//                     server time to sleep: processor time as above                     per echo
//   paced_..._p50     half of the answers, and 99 of 100, were not later than this,
//   paced_..._p99     from when their message was due                                microseconds
//
// Those with another core are only there where there is one.

#include <string>

#include "../support/clients.hpp"
#include "../support/cores.hpp"
#ifndef ECHO_FROM_THIS_CORE_ONLY  // `compile` asks what the server costs, and not its clients
#include "../support/load.hpp"
#endif

namespace question {

inline constexpr int message = 64;
inline constexpr int buffer = 4096;  // of the server, for each connection
inline constexpr int echoes = 20'000;
inline constexpr int rate = 50'000;  // a second
inline constexpr int windows = 5;    // in which it is measured; the last may not be full for a client

enum class clients { on_this_core, on_another, paced };

struct size {
  const char* name;
  int connections;
  clients from;
};
inline constexpr size sizes[] = {
    {"connections_1", 1, clients::on_this_core}, {"connections_50", 50, clients::on_this_core},
    {"two_cores_50", 50, clients::on_another},   {"two_cores_500", 500, clients::on_another},
    {"paced_50", 50, clients::paced},            {"paced_500", 500, clients::paced}};

inline bench::clock clock(const size& s) {
  return s.from == clients::on_another ? bench::clock::wall : bench::clock::cpu_of_this_thread;
}

class row : public bench::row {
 public:
  row(const char* contender, const size& s)
      : bench::row("echo", s.name, contender, echoes, clock(s)) {
    if (s.from == clients::paced) slow(windows);
  }
};

/// The clients, and the server's ends of their connections.
class load : public bench::connections {
 public:
  load(const char* contender, const size& s)
      : connections(s.connections, [&](const std::vector<int>& theirs) {
          if (s.from == clients::on_this_core) return bench::ask(theirs, message);
          return ask_from_another(contender, s, theirs);
        }) {}

 private:
#ifdef ECHO_FROM_THIS_CORE_ONLY
  static bool ask_from_another(const char*, const size&, const std::vector<int>&) { return false; }
#else
  static bool ask_from_another(const char* contender, const size& s, const std::vector<int>& fds) {
    bench::pin_this_thread(bench::next_core());
    bench::load from_there(fds, message, s.from == clients::paced ? rate : 0);
    const bool right = from_there.run();
    for (const int percent : {50, 99}) print(contender, s, percent, from_there);
    return right;
  }
  static void print(const char* contender, const size& s, int percent, const bench::load& from) {
    const auto late = from.percentile(percent, echoes, windows - 1);
    if (!late) return;
    const std::string name = std::string(s.name) + "_p" + std::to_string(percent);
    const std::chrono::duration<double, std::micro> in_us = *late;
    bench::value("echo", name.c_str(), contender, in_us.count(), echoes, "us");
  }
#endif
};

/// Calls f(size) for each that this machine has the cores for, and that is wanted.
template <typename F>
void at_each_size(F f) {
  for (const size& s : sizes) {
    if (s.from != clients::on_this_core && bench::next_core() == ::sched_getcpu()) continue;
    if (bench::wanted(s.name)) f(s);
  }
}

}  // namespace question
