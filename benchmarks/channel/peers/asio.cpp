// SPDX-License-Identifier: BSL-1.0

// asio::experimental::channel, the one without locks.

#include "../question.hpp"

#include <asio.hpp>
#include <asio/experimental/channel.hpp>

#include <optional>

#include "../../support/asio_task.hpp"

namespace {

class channel {
  using message = void(asio::error_code, std::optional<int>);

 public:
  explicit channel(std::size_t capacity) : channel_(peer::context(), capacity) {}

  auto send(int value) { return channel_.async_send({}, value, peer::use_awaitable); }
  auto receive() { return channel_.async_receive(peer::use_awaitable); }

 private:
  asio::experimental::basic_channel<peer::executor, asio::experimental::channel_traits<>, message>
      channel_;
};

}  // namespace

int main() { return peer::run(question::ask<peer::task, channel>("asio", peer::both)); }
