// SPDX-License-Identifier: BSL-1.0

// liburing: a receive for each connection that goes on, into buffers that all share.

#include <memory>

#include "question.hpp"

#include "../support/raw_buffers.hpp"

namespace {

constexpr unsigned buffers = 1024;

class server {
 public:
  explicit server(const std::vector<int>& fds) {
    for (const int fd : fds) receive(static_cast<unsigned>(fd));
  }

  void serve(int count) {
    while (count > 0) {
      ring_.turn([&](const io_uring_cqe& cqe) { count -= complete(cqe); });
    }
  }

 private:
  // What an entry is about: a connection that receives, or a buffer that is sent.
  static constexpr std::uint64_t sent = std::uint64_t{1} << 32;

  void receive(unsigned fd) {
    io_uring_sqe* const e = ring_.entry();
    buffers_.receive(e, static_cast<int>(fd));
    io_uring_sqe_set_data64(e, fd);
  }

  /// How many echoes that makes.
  int complete(const io_uring_cqe& cqe) {
    if (cqe.user_data & sent) {
      bench::check(cqe.res == question::message, "all of it is sent");
      buffers_.give_back(static_cast<unsigned>(cqe.user_data));
      return 1;
    }
    const auto fd = static_cast<unsigned>(cqe.user_data);
    if (cqe.res > 0) {
      const unsigned id = buffers_.id(cqe);
      io_uring_sqe* const e = ring_.entry();
      io_uring_prep_send(e, static_cast<int>(fd), buffers_[id], static_cast<std::size_t>(cqe.res),
                         MSG_NOSIGNAL);
      io_uring_sqe_set_data64(e, sent | id);
    }
    if (!(cqe.flags & IORING_CQE_F_MORE)) receive(fd);
    return 0;
  }

  hand::raw_ring ring_;
  hand::raw_buffers<buffers, question::buffer> buffers_{ring_};
};

}  // namespace

int main() {
  question::at_each_size([](const question::size& size) {
    question::row row("raw_multishot", size);
    question::load load("raw_multishot", size);
    {
      const auto s = std::make_unique<server>(load.fds);
      while (row.again()) s->serve(question::echoes);
    }
    for (const int fd : load.fds) ::close(fd);
  });
}
