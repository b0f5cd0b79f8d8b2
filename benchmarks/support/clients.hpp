// SPDX-License-Identifier: BSL-1.0
#pragma once

// Clients of an echo server, in a process of their own. The server gets its ends of the
// connections, so that accepting them is no part of what is measured.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "bench.hpp"

namespace bench {

/// TCP connections over the loopback whose other ends are in another process.
class connections {
 public:
  /// talk(fds) runs there and ends when the server closes its ends, or before; whether all is well.
  template <typename F>
  connections(int count, F talk) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* const address = reinterpret_cast<sockaddr*>(&at);
    check(::bind(listener, address, size) == 0 && ::listen(listener, 128) == 0 &&
              ::getsockname(listener, address, &size) == 0,
          "a listener");
    std::vector<int> theirs;
    for (int i = 0; i < count; ++i) {
      theirs.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      check(::connect(theirs.back(), address, size) == 0, "a connection");
      fds.push_back(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
      for (const int fd : {theirs.back(), fds.back()}) {
        const int on = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);  // every kernel has it
      }
    }
    ::close(listener);
    process_ = ::fork();
    if (process_ == 0) {
      for (const int fd : fds) ::close(fd);
      ::_exit(talk(theirs) ? 0 : 1);
    }
    for (const int fd : theirs) ::close(fd);
  }
  connections(const connections&) = delete;
  connections& operator=(const connections&) = delete;
  /// The server has closed its ends.
  ~connections() {
    int status = 0;
    ::waitpid(process_, &status, 0);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "every answer is what was sent");
  }

  std::vector<int> fds;

 private:
  pid_t process_;
};

/// Clients that write to all connections, then read from all, and do so again: `rounds` times, or,
/// with 0, until the server closes its ends. Whether every answer was what had been sent.
inline bool ask(const std::vector<int>& fds, std::size_t message, int rounds = 0) {
  std::string sent(message, '\0');
  std::string received(message, '\0');
  for (int round = 1;; ++round) {
    sent.assign(message, static_cast<char>(round));
    for (const int fd : fds) {
      const ssize_t n = ::send(fd, sent.data(), message, MSG_NOSIGNAL);
      if (n != static_cast<ssize_t>(message)) return true;
    }
    for (const int fd : fds) {
      const ssize_t n = ::recv(fd, received.data(), message, MSG_WAITALL);
      if (n <= 0) return true;
      if (n != static_cast<ssize_t>(message) || sent != received) return false;
    }
    if (round == rounds) return ::recv(fds.front(), received.data(), 1, 0) <= 0;
  }
}

}  // namespace bench
