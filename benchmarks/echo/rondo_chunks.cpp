// SPDX-License-Identifier: BSL-1.0

// The same with one receive for all that a connection brings, into buffers that all share.

#include "rondo_server.hpp"

namespace {

rondo::task<> echo_chunks(rondo::tcp_stream peer, rondo::buffer_ring& ring, counter& served) {
  auto chunks = peer.receive_many(ring);
  while (auto chunk = co_await chunks.next()) {
    co_await peer.write(std::move(*chunk));
    served.count();
  }
}

}  // namespace

int main() {
  rondo::buffer_ring ring{64, question::buffer};
  return answer("rondo_chunks", rondo::backend::io_uring,
                [&ring](rondo::tcp_stream peer, counter& served) {
                  return echo_chunks(std::move(peer), ring, served);
                });
}
