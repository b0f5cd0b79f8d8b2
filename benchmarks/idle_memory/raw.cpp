// SPDX-License-Identifier: BSL-1.0

// liburing: a multishot receive into a ring of buffers, or a record with a buffer for each
// connection. The limit.

#include <cstddef>
#include <deque>

#include "question.hpp"

#include "../support/raw_buffers.hpp"

namespace {

struct connection {
  int fd;
  bool receiving;
  std::byte* space;  // nullptr: those that are shared
};

class server {
 public:
  explicit server(bool shared) : shared_(shared) {}
  ~server() {
    for (connection& c : all_) {
      delete[] c.space;
      ::close(c.fd);
    }
  }

  void serve(const std::vector<int>& fds) {
    std::size_t left = fds.size();
    for (const int fd : fds) {
      all_.push_back({fd, true, shared_ ? nullptr : new std::byte[question::own_buffer]});
      receive(all_.back());
    }
    while (left > 0) {
      ring_.turn([&](const io_uring_cqe& cqe) { left -= complete(cqe); });
    }
    io_uring_submit(ring_.get());
  }

 private:
  void receive(connection& c) {
    io_uring_sqe* const e = ring_.entry();
    if (shared_) {
      buffers_.receive(e, c.fd);
    } else {
      io_uring_prep_recv(e, c.fd, c.space, question::own_buffer, 0);
    }
    io_uring_sqe_set_data(e, &c);
    c.receiving = true;
  }

  /// How many answers that makes.
  unsigned complete(const io_uring_cqe& cqe) {
    auto* const c = static_cast<connection*>(io_uring_cqe_get_data(&cqe));
    if (shared_) {  // a byte is answered at once, and the buffer is free
      if (cqe.res == -ENOBUFS) return receive(*c), 0;
      const unsigned id = buffers_.id(cqe);
      bench::check(cqe.res == 1 && ::send(c->fd, buffers_[id], 1, MSG_NOSIGNAL) == 1, "one byte");
      buffers_.give_back(id);
      if (!(cqe.flags & IORING_CQE_F_MORE)) receive(*c);
      return 1;
    }
    bench::check(cqe.res == 1, "one byte");
    if (!c->receiving) return receive(*c), 1;
    io_uring_sqe* const e = ring_.entry();
    io_uring_prep_send(e, c->fd, c->space, 1, MSG_NOSIGNAL);
    io_uring_sqe_set_data(e, c);
    c->receiving = false;
    return 0;
  }

  bool shared_;
  std::deque<connection> all_;
  hand::raw_ring ring_;
  hand::raw_buffers<256, 1024> buffers_{ring_};
};

}  // namespace

int main() {
  question::at_each_row([](const char* row) {
    question::connections connections;
    server s(question::is_shared(row));
    s.serve(connections.warm.fds);
    connections.begin();
    s.serve(connections.all.fds);
    connections.end(row, "raw");
  });
}
