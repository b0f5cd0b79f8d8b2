// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does an echo cost its server? 64 bytes over TCP on the loopback, in one processor's time of
// the server's thread, the kernel's part included:
//
//   connections_1     one client that waits for each answer             per echo
//   connections_50    fifty, so that a system call may serve many       per echo
//
// The client is a process of its own. It writes to all connections, then reads from all, and ends
// when an answer is not what it has sent.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "../support/bench.hpp"

namespace question {

inline constexpr int message = 64;
inline constexpr int buffer = 4096;  // of the server, for each connection
inline constexpr int echoes = 20'000;
inline constexpr int rows[] = {1, 50};

inline bench::row row(const char* contender, int connections) {
  return {"echo", connections == 1 ? "connections_1" : "connections_50", contender, echoes,
          bench::clock::cpu_of_this_thread};
}

/// The client, and the server's ends of its connections.
class load {
 public:
  explicit load(int connections) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const address = reinterpret_cast<sockaddr*>(&at);
    bench::check(::bind(listener, address, size) == 0 && ::listen(listener, connections) == 0 &&
                     ::getsockname(listener, address, &size) == 0,
                 "a listener");
    std::vector<int> clients;
    for (int i = 0; i < connections; ++i) {
      clients.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      bench::check(::connect(clients.back(), address, size) == 0, "a connection");
      fds.push_back(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
      const int on = 1;
      for (const int fd : {clients.back(), fds.back()}) {
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      }
    }
    ::close(listener);
    client_ = ::fork();
    if (client_ == 0) {
      for (const int fd : fds) ::close(fd);
      ::_exit(talk(clients));
    }
    for (const int fd : clients) ::close(fd);
  }
  load(const load&) = delete;
  load& operator=(const load&) = delete;
  /// The server has closed its ends.
  ~load() {
    int status = 0;
    ::waitpid(client_, &status, 0);
    bench::check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "every answer is what was sent");
  }

  std::vector<int> fds;

 private:
  static int talk(const std::vector<int>& connections) {
    char sent[message];
    char received[message];
    for (unsigned char round = 0;; ++round) {
      std::memset(sent, round, sizeof sent);
      for (const int fd : connections) {
        if (::send(fd, sent, sizeof sent, MSG_NOSIGNAL) != message) return 0;
      }
      for (const int fd : connections) {
        const ssize_t n = ::recv(fd, received, sizeof received, MSG_WAITALL);
        if (n <= 0) return 0;
        if (n != message || std::memcmp(sent, received, sizeof sent) != 0) return 1;
      }
    }
  }

  pid_t client_;
};

}  // namespace question
