// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/datagram.hpp>

#include <chrono>
#include <optional>
#include <rondo/net/udp.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

LOOP_TEST("each message comes whole, with its sender, also an empty one") {
  buffer_ring ring{8, 256};
  udp_socket server = udp_socket::bind(endpoint::loopback(0));
  udp_socket client = udp_socket::bind(endpoint::loopback(0));
  auto messages = server.receive_many(ring);
  for (const std::string text : {"one", "", "three"}) {
    co_await client.send_to(text, server.local_endpoint());
    auto message = co_await with_timeout(1s, messages.next());
    REQUIRE(message.has_value());
    CHECK(message->view() == text);
    CHECK(message->size() == text.size());
    CHECK(message->from() == client.local_endpoint());
    CHECK_FALSE(message->is_truncated());
    const endpoint from = message->from();
    co_await server.send_to(std::move(*message), from);
    std::array<char, 16> bytes;
    const std::size_t n = co_await client.receive(bytes);
    CHECK(n == text.size());
  }
  CHECK(ring.available() >= 7);
}

LOOP_TEST("what does not fit is cut off, and says so") {
  buffer_ring ring{2, datagram::overhead + 4};
  udp_socket server = udp_socket::bind(endpoint::loopback(0));
  udp_socket client = udp_socket::bind(endpoint::loopback(0));
  auto messages = server.receive_many(ring);
  co_await client.send_to("too long", server.local_endpoint());
  co_await client.send_to("fits", server.local_endpoint());
  const auto first = co_await with_timeout(1s, messages.next());
  CHECK(first->view() == "too ");
  CHECK(first->is_truncated());
  const auto second = co_await with_timeout(1s, messages.next());
  CHECK(second->view() == "fits");
  CHECK_FALSE(second->is_truncated());
}

LOOP_TEST("buffers that are too small for an address are an error") {
  buffer_ring ring{2, 16};
  udp_socket server = udp_socket::bind(endpoint::loopback(0));
  udp_socket client = udp_socket::bind(endpoint::loopback(0));
  auto messages = server.receive_many(ring);
  co_await client.send_to("x", server.local_endpoint());
  const auto result = co_await as_result(messages.next());
  CHECK(result.error() == std::errc::bad_address);
  CHECK(ring.available() == 2);
}

LOOP_TEST("when all buffers are out messages wait in the socket, and none is lost") {
  buffer_ring ring{2, 128};
  udp_socket server = udp_socket::bind(endpoint::loopback(0));
  udp_socket client = udp_socket::bind(endpoint::loopback(0));
  auto messages = server.receive_many(ring);
  for (int i = 0; i < 20; ++i) {
    co_await client.send_to("message " + std::to_string(i), server.local_endpoint());
  }
  std::vector<datagram> held;
  for (int i = 0; i < 20; ++i) {
    auto waiting = co_await try_for(i < 2 ? 1s : 2ms, messages.next());
    if (i >= 2) {
      CHECK_FALSE(waiting.has_value());
      held.erase(held.begin());
      waiting = co_await try_for(1s, messages.next());
    }
    REQUIRE(waiting.has_value());
    CHECK((*waiting)->view() == "message " + std::to_string(i));
    held.push_back(std::move(**waiting));
  }
}

LOOP_TEST("IPv6 senders are named as well, and a stream that is dropped gives its buffers back") {
  const descriptor probe(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const endpoint any("::1", 0);
  if (!probe || ::bind(probe.native_handle(), any.native(), any.native_size()) != 0) co_return;
  buffer_ring ring{4, 128};
  udp_socket server = udp_socket::bind(any);
  udp_socket client = udp_socket::bind(any);
  {
    auto messages = server.receive_many(ring);
    co_await client.send_to("x", server.local_endpoint());
    const auto message = co_await with_timeout(1s, messages.next());
    CHECK(message->from() == client.local_endpoint());
    for (int i = 0; i < 3; ++i) co_await client.send_to("y", server.local_endpoint());
    co_await round_trip();
  }
  for (int i = 0; i < 12; ++i) co_await round_trip();
  CHECK(ring.available() == 4);
}

TEST_CASE("receiving messages allocates nothing for each") {
  if (!rondo_test::heap_is_counted()) SKIP("needs a counted heap");
  const auto count = []() -> task<std::size_t> {
    buffer_ring ring{4, 128};
    udp_socket server = udp_socket::bind(endpoint::loopback(0));
    udp_socket client = udp_socket::bind(endpoint::loopback(0));
    const endpoint at = server.local_endpoint();
    auto messages = server.receive_many(ring);
    std::size_t before = 0;
    for (int i = 0; i < 200; ++i) {
      if (i == 100) before = rondo_test::allocations();
      co_await client.send_to("x", at);
      static_cast<void>(co_await messages.next());
    }
    co_return rondo_test::allocations() - before;
  };
  CHECK(rondo::run(count()) == 0);
}
