// SPDX-License-Identifier: BSL-1.0

// liburing: a receive or a send in flight for each connection. The limit.

#include "question.hpp"

#include "../support/raw_ring.hpp"

namespace {

struct connection {
  int fd;
  bool receiving = true;
  char space[question::buffer];
};

void receive(hand::raw_ring& ring, connection& c) {
  io_uring_sqe* const e = ring.entry();
  io_uring_prep_recv(e, c.fd, c.space, sizeof c.space, 0);
  io_uring_sqe_set_data(e, &c);
  c.receiving = true;
}
void send(hand::raw_ring& ring, connection& c, int size) {
  io_uring_sqe* const e = ring.entry();
  io_uring_prep_send(e, c.fd, c.space, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  io_uring_sqe_set_data(e, &c);
  c.receiving = false;
}

}  // namespace

int main() {
  question::at_each_size([](const question::size& size) {
    question::row row("raw", size);
    question::load load("raw", size);
    {
      hand::raw_ring ring;
      std::vector<connection> all(load.fds.size());
      for (std::size_t i = 0; i < all.size(); ++i) {
        all[i].fd = load.fds[i];
        receive(ring, all[i]);
      }
      while (row.again()) {
        for (int left = question::echoes; left > 0;) {
          ring.turn([&](const io_uring_cqe& cqe) {
            auto& c = *static_cast<connection*>(io_uring_cqe_get_data(&cqe));
            bench::check(cqe.res == question::message, "a whole message");
            if (c.receiving) {
              send(ring, c, cqe.res);
            } else {
              --left;
              receive(ring, c);
            }
          });
        }
      }
    }
    for (const int fd : load.fds) ::close(fd);
  });
}
