// SPDX-License-Identifier: BSL-1.0

// asio::awaitable; a hop is a post, a child on its own a co_spawn.

#include "../question.hpp"

#include <asio.hpp>

#include "../../support/asio_task.hpp"

int main() {
  const auto spawn = [](peer::task<int> child) {
    return asio::co_spawn(peer::context(), std::move(child), peer::use_awaitable);
  };
  const auto yield = [] { return asio::post(peer::context(), peer::use_awaitable); };
  return peer::run(question::ask<peer::task>("asio", spawn, yield));
}
