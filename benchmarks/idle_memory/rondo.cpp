// SPDX-License-Identifier: BSL-1.0

// A task for each connection: with receive_many and one buffer_ring, or with a buffer of its own.

#include "question.hpp"

#include <rondo/rondo.hpp>

#include <array>
#include <string_view>

namespace {

struct counter {
  std::size_t left = 0;
  rondo::oneshot<int>* ended = nullptr;
  void count() {
    if (--left == 0) ended->set_value(0);
  }
};

rondo::task<> shared(rondo::tcp_stream peer, counter& served, rondo::buffer_ring& ring) {
  auto chunks = peer.receive_many(ring);
  while (auto chunk = co_await chunks.next()) {
    co_await peer.write(std::move(*chunk));
    served.count();
  }
}

rondo::task<> own(rondo::tcp_stream peer, counter& served) {
  std::array<char, question::own_buffer> space;
  for (;;) {
    const std::size_t n = co_await peer.read(space);
    if (n == 0) co_return;
    co_await peer.write(std::string_view(space.data(), n));
    served.count();
  }
}

rondo::task<> ask(const char* row, question::connections& connections) {
  rondo::buffer_ring ring{256, 1024};
  counter served;
  for (const auto* group : std::array{&connections.warm, &connections.all}) {
    if (group == &connections.all) connections.begin();
    rondo::oneshot<int> ended;
    served.ended = &ended;
    served.left = group->fds.size();
    for (const int fd : group->fds) {
      auto peer = rondo::tcp_stream::adopt(fd);
      if (question::is_shared(row))
        rondo::spawn(shared(std::move(peer), served, ring));
      else
        rondo::spawn(own(std::move(peer), served));
    }
    co_await ended.wait();
  }
  connections.end(row, "rondo");
}

}  // namespace

int main() {
  question::at_each_row([](const char* row) {
    question::connections connections;
    rondo::run(ask(row, connections));
  });
}
