// SPDX-License-Identifier: BSL-1.0

// epoll, level-triggered, and plain calls, as a server in C would be written. The limit for the
// epoll backend.

#include <sys/epoll.h>

#include "question.hpp"

namespace {

struct server {
  explicit server(const std::vector<int>& fds) : epoll(::epoll_create1(EPOLL_CLOEXEC)) {
    for (const int fd : fds) {
      epoll_event e{EPOLLIN, {.fd = fd}};
      bench::check(::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0, "epoll takes a connection");
    }
  }
  ~server() { ::close(epoll); }

  void serve(int count) {
    while (count > 0) {
      epoll_event ready[128];
      const int n = ::epoll_wait(epoll, ready, 128, -1);
      for (int i = 0; i < n; ++i) {
        const int fd = ready[i].data.fd;
        const ssize_t size = ::recv(fd, space, sizeof space, MSG_DONTWAIT);
        if (size <= 0) continue;
        bench::check(::send(fd, space, static_cast<std::size_t>(size),
                            MSG_DONTWAIT | MSG_NOSIGNAL) == size,
                     "all of it is sent");
        --count;
      }
    }
  }

  int epoll;
  char space[question::buffer];
};

}  // namespace

int main() {
  question::at_each_size([](const question::size& size) {
    question::row row("epoll", size);
    question::load load("epoll", size);
    {
      server s(load.fds);
      while (row.again()) s.serve(question::echoes);
    }
    for (const int fd : load.fds) ::close(fd);
  });
}
