// SPDX-License-Identifier: BSL-1.0

// liburing: a multishot receive into a ring of buffers, or a record with a buffer for each
// connection. The limit.

#include <cstddef>
#include <deque>

#include "question.hpp"

#include "../support/raw_ring.hpp"

namespace {

constexpr unsigned buffers = 256;  // of 1 KiB, shared

struct connection {
  int fd;
  bool receiving;
  std::byte* space;  // nullptr: those that are shared
};

class server {
 public:
  explicit server(bool shared) : shared_(shared) {
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uintptr_t>(ring_buffers_);
    registration.ring_entries = buffers;
    bench::check(io_uring_register_buf_ring(ring_.get(), &registration, 0) == 0, "buffers");
    io_uring_buf_ring_init(ring_buffers_);
    for (unsigned id = 0; id < buffers; ++id) give_back(id);
  }
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
  io_uring_sqe* entry(connection& c) {
    io_uring_sqe* e = ring_.entry();
    if (!e) {
      io_uring_submit(ring_.get());
      e = ring_.entry();
    }
    io_uring_sqe_set_data(e, &c);
    return e;
  }
  void receive(connection& c) {
    io_uring_sqe* const e = entry(c);
    if (shared_) {
      io_uring_prep_recv_multishot(e, c.fd, nullptr, 0, 0);
      e->flags |= IOSQE_BUFFER_SELECT;
      e->buf_group = 0;
    } else {
      io_uring_prep_recv(e, c.fd, c.space, question::own_buffer, 0);
    }
    io_uring_sqe_set_data(e, &c);
    c.receiving = true;
  }
  void give_back(unsigned id) {
    io_uring_buf_ring_add(ring_buffers_, space_[id], sizeof space_[id],
                          static_cast<unsigned short>(id), io_uring_buf_ring_mask(buffers), 0);
    io_uring_buf_ring_advance(ring_buffers_, 1);
  }

  /// How many answers that makes.
  unsigned complete(const io_uring_cqe& cqe) {
    auto* const c = static_cast<connection*>(io_uring_cqe_get_data(&cqe));
    if (shared_) {  // a byte is answered at once, and the buffer is free
      if (cqe.res == -ENOBUFS) return receive(*c), 0;
      const unsigned id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
      bench::check(cqe.res == 1 && ::send(c->fd, space_[id], 1, MSG_NOSIGNAL) == 1, "one byte");
      give_back(id);
      if (!(cqe.flags & IORING_CQE_F_MORE)) receive(*c);
      return 1;
    }
    bench::check(cqe.res == 1, "one byte");
    if (!c->receiving) return receive(*c), 1;
    io_uring_sqe* const e = entry(*c);
    io_uring_prep_send(e, c->fd, c->space, 1, MSG_NOSIGNAL);
    io_uring_sqe_set_data(e, c);
    c->receiving = false;
    return 0;
  }

  bool shared_;
  std::deque<connection> all_;
  alignas(4096) std::byte space_[buffers][1024];
  alignas(4096) std::byte ring_memory_[buffers * sizeof(io_uring_buf)];
  io_uring_buf_ring* ring_buffers_ = reinterpret_cast<io_uring_buf_ring*>(ring_memory_);
  hand::raw_ring ring_;
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
