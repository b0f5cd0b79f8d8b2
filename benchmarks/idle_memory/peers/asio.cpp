// SPDX-License-Identifier: BSL-1.0

// A coroutine for each connection. One that holds no buffer waits until its socket is readable.

#include "../question.hpp"

#include <asio.hpp>

#include <array>

#include "../../support/asio_task.hpp"

namespace {

using socket_type = asio::basic_stream_socket<asio::ip::tcp, peer::executor>;

std::size_t left = 0;
std::array<char, 16 * 1024> for_all;

void count() {
  if (--left == 0) peer::context().stop();
}

peer::task<void> shared(socket_type peer) {
  peer.non_blocking(true);
  for (;;) {
    co_await peer.async_wait(socket_type::wait_read, peer::use_awaitable);
    asio::error_code error;
    const std::size_t n = peer.read_some(asio::buffer(for_all), error);
    if (error == asio::error::would_block) continue;
    if (error) co_return;
    asio::write(peer, asio::buffer(for_all, n));
    count();
  }
}

peer::task<void> own(socket_type peer) {
  std::array<char, question::own_buffer> space;
  for (;;) {
    const std::size_t n = co_await peer.async_read_some(asio::buffer(space), peer::use_awaitable);
    co_await asio::async_write(peer, asio::buffer(space, n), peer::use_awaitable);
    count();
  }
}

void serve(bool share, const std::vector<int>& fds) {
  left = fds.size();
  for (const int fd : fds) {
    socket_type peer(peer::context(), asio::ip::tcp::v4(), fd);
    asio::co_spawn(peer::context(), share ? shared(std::move(peer)) : own(std::move(peer)),
                   asio::detached);
  }
  peer::context().restart();
  peer::context().run();
}

}  // namespace

int main() {
  question::at_each_row([](const char* row) {
    const bool share = question::is_shared(row);
    question::connections connections;
    serve(share, connections.warm.fds);
    connections.begin();
    serve(share, connections.all.fds);
    connections.end(row, "asio");
    for (const auto* group : {&connections.warm, &connections.all}) {
      for (const int fd : group->fds) ::shutdown(fd, SHUT_RDWR);
    }
    peer::context().restart();
    peer::context().run();
  });
}
