// SPDX-License-Identifier: BSL-1.0
#pragma once

// A coroutine for each connection, the executor known at compile time and no locks: what Asio has
// for one thread.

#include "../question.hpp"

#include <asio.hpp>

#include <array>

using executor = asio::io_context::executor_type;
using socket_type = asio::basic_stream_socket<asio::ip::tcp, executor>;
inline constexpr asio::use_awaitable_t<executor> use_awaitable;

struct counter {
  bench::row& row;
  asio::io_context& context;
  int left = question::echoes;
  void count() {
    if (--left > 0) return;
    left = question::echoes;
    if (!row.again()) context.stop();
  }
};

inline asio::awaitable<void, executor> echo(socket_type peer, counter& served) {
  std::array<char, question::buffer> space;
  for (;;) {
    const std::size_t n = co_await peer.async_read_some(asio::buffer(space), use_awaitable);
    co_await asio::async_write(peer, asio::buffer(space, n), use_awaitable);
    served.count();
  }
}

inline int answer(const char* contender) {
  question::at_each_size([&](const question::size& size) {
    question::row row(contender, size);
    question::load load(contender, size);
    asio::io_context context(ASIO_CONCURRENCY_HINT_UNSAFE);
    counter served{row, context};
    for (const int fd : load.fds) {
      asio::co_spawn(context, echo({context, asio::ip::tcp::v4(), fd}, served), asio::detached);
    }
    if (row.again()) context.run();
  });
  return 0;
}
