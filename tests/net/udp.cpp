// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/udp.hpp>

#include <chrono>
#include <string>

#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;
using rondo::endpoint;
using rondo::task;
using rondo::udp_socket;

LOOP_TEST("a message arrives with who has sent it, and can be answered") {
  udp_socket server = udp_socket::bind(endpoint::loopback(0));
  udp_socket client = udp_socket::bind(endpoint::loopback(0));
  const std::size_t sent = co_await client.send_to("question", server.local_endpoint());
  CHECK(sent == 8);
  std::array<char, 100> space;
  auto [size, from] = co_await server.receive_from(space);
  CHECK(std::string(space.data(), size) == "question");
  CHECK(from == client.local_endpoint());
  co_await server.send_to(std::string("answer"), from);
  const rondo::received_from answer = co_await client.receive_from(space);
  CHECK(std::string(space.data(), answer.size) == "answer");
  CHECK(answer.endpoint == server.local_endpoint());
}

LOOP_TEST("messages stay apart, empty ones too, and what does not fit is cut off") {
  udp_socket a = udp_socket::bind(endpoint::loopback(0));
  const endpoint at = a.local_endpoint();
  co_await a.send_to("", at);
  co_await a.send_to("0123456789", at);
  co_await a.send_to("ab", at);
  std::array<char, 5> space;
  const auto empty = co_await a.receive_from(space);
  const auto cut = co_await a.receive_from(space);
  const auto last = co_await a.receive_from(space);
  CHECK(empty.size == 0);
  CHECK(cut.size == 5);
  CHECK(last.size == 2);
}

LOOP_TEST("a connected socket talks to one peer") {
  udp_socket server = udp_socket::bind(endpoint::loopback(0));
  udp_socket other = udp_socket::bind(endpoint::loopback(0));
  udp_socket client;
  client.connect(server.local_endpoint());
  CHECK(client.remote_endpoint() == server.local_endpoint());
  co_await client.connect(server.local_endpoint());  // may be awaited, as that of a stream is
  co_await other.send_to("not for it", client.local_endpoint());
  const std::size_t sent = co_await client.send("hello");
  CHECK(sent == 5);
  std::array<char, 100> space;
  const auto hello = co_await server.receive_from(space);
  co_await server.send_to("good day", hello.endpoint);
  const std::size_t n = co_await client.receive(space);
  CHECK(std::string(space.data(), n) == "good day");
}

LOOP_TEST("that nobody listens at the peer is told by the next call") {
  udp_socket gone = udp_socket::bind(endpoint::loopback(0));
  udp_socket client;
  client.connect(gone.local_endpoint());
  co_await gone.close();
  co_await client.send("hello");
  std::array<char, 10> space;
  const std::error_code code = co_await code_of(client.receive(space));
  CHECK(code == std::errc::connection_refused);
}

LOOP_TEST("errors name the endpoint") {
  udp_socket a = udp_socket::bind(endpoint::loopback(0));
  const endpoint at = a.local_endpoint();
  const std::string words = co_await words_of(a.send_to(std::string(70'000, 'x'), at));
  CHECK(words == "send to " + to_string(at) + ": " + std::system_category().message(EMSGSIZE));
  try {
    static_cast<void>(udp_socket::bind(at));
    FAIL("the port was taken twice");
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::address_in_use);
    CHECK_THAT(e.what(), ContainsSubstring(to_string(at)));
  }
  udp_socket v4 = udp_socket::bind(endpoint::loopback(0));
  try {
    v4.connect(endpoint("::1", 80));
    FAIL("connected to another family");
  } catch (const std::system_error& e) {
    CHECK_THAT(e.what(), ContainsSubstring("connect to [::1]:80"));
  }
  udp_socket none;
  std::array<char, 10> space;
  const std::error_code code = co_await code_of(none.receive_from(space));
  CHECK(code == std::errc::bad_file_descriptor);
  CHECK_THROWS_AS(none.remote_endpoint(), std::system_error);
  CHECK_THROWS_AS(udp_socket::bind(endpoint::unix_path("/no/such/folder/s")), std::system_error);
}

TEST_CASE("two sockets share a port if both want to, and broadcasting is asked for") {
  const udp_socket a = udp_socket::bind(endpoint::loopback(0), {.reuse_port = true});
  const udp_socket b = udp_socket::bind(a.local_endpoint(), {.reuse_port = true});
  CHECK(a.local_endpoint() == b.local_endpoint());
  const udp_socket c = udp_socket::bind(endpoint::loopback(0), {.broadcast = true});
  CHECK(c.get_option<int>(SOL_SOCKET, SO_BROADCAST) != 0);
  CHECK(a.get_option<int>(SOL_SOCKET, SO_BROADCAST) == 0);
}

LOOP_TEST("a receive that is canceled at any moment loses no message") {
  udp_socket a = udp_socket::bind(endpoint::loopback(0));
  const endpoint at = a.local_endpoint();
  const auto receive = [](udp_socket& from) -> task<int> {
    std::array<char, 10> space;
    const auto r = co_await from.receive_from(space);
    co_return static_cast<int>(r.size);
  };
  int arrived = 0;
  for (int turns = 0; turns < 8; ++turns) {
    auto receiving = rondo::spawn(receive(a));
    if (turns % 2 == 0) co_await round_trip();
    co_await a.send_to("x", at);
    for (int i = 0; i < turns / 2; ++i) co_await rondo::yield();
    receiving.cancel();
    try {
      arrived += co_await receiving;
    } catch (const rondo::operation_canceled&) {
    }
  }
  for (;;) {
    const auto more = co_await rondo::try_for(5ms, receive(a));
    if (!more) break;
    arrived += *more;
  }
  CHECK(arrived == 8);
}

LOOP_TEST("close ends who receives") {
  const auto before = rondo_test::open_descriptors();
  udp_socket a = udp_socket::bind(endpoint::loopback(0));
  std::array<char, 10> space;
  auto receiving = rondo::spawn(code_of(a.receive_from(space)));
  co_await round_trip();
  co_await a.close();
  CHECK(receiving.done());
  const std::error_code code = co_await receiving;
  CHECK(code == rondo::errc::closed);
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("messages there and back allocate nothing") {
  udp_socket a = udp_socket::bind(endpoint::loopback(0));
  const auto rounds = [](udp_socket& s, int count) -> task<> {
    const endpoint self = s.local_endpoint();
    std::array<char, 64> space{};
    for (int i = 0; i < count; ++i) {
      co_await s.send_to(space, self);
      static_cast<void>(co_await s.receive_from(space));
    }
  };
  co_await rounds(a, 10);
  auto many = rounds(a, 1000);
  const auto before = rondo_test::allocations();
  co_await std::move(many);
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}

LOOP_TEST("IPv6 messages know their sender, too") {
  udp_socket a;
  try {
    a = udp_socket::bind(endpoint("::1", 0));
  } catch (const std::system_error&) {
    co_return;  // there is no IPv6
  }
  co_await a.send_to("six", a.local_endpoint());
  std::array<char, 10> space;
  const auto r = co_await a.receive_from(space);
  CHECK(r.endpoint == a.local_endpoint());
  CHECK(r.endpoint.is_v6());
}

/// Sends a message from a Unix socket without a name.
void send_nameless(std::string_view text, const endpoint& to) {
  const rondo::descriptor fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  REQUIRE(::sendto(fd.native_handle(), text.data(), text.size(), 0, to.native(),
                   to.native_size()) == static_cast<ssize_t>(text.size()));
}

LOOP_TEST("a sender without a name is a Unix socket without a path") {
  const temporary_folder folder;
  const endpoint at = endpoint::unix_path(folder / "socket");
  udp_socket a = udp_socket::bind(at);
  send_nameless("hello", at);
  std::array<char, 10> space;
  const auto r = co_await a.receive_from(space);
  CHECK(r.size == 5);
  CHECK(r.endpoint.is_unix());
  CHECK(to_string(r.endpoint) == "");

  rondo::buffer_ring ring{8, 256};
  auto messages = a.receive_many(ring);
  send_nameless("again", at);
  const auto again = co_await messages.next();
  CHECK(again->view() == "again");
  CHECK(again->from() == r.endpoint);
}

LOOP_TEST("a Unix sender's path is whole, however long") {
  const temporary_folder folder;
  const endpoint at = endpoint::unix_path(folder / "server");
  const endpoint long_one = endpoint::unix_path(folder / std::string(60, 'x'));
  udp_socket server = udp_socket::bind(at);
  udp_socket client = udp_socket::bind(long_one);
  rondo::buffer_ring ring{8, 256};
  auto messages = server.receive_many(ring);
  co_await client.send_to("hello", at);
  const auto message = co_await messages.next();
  CHECK(message->from() == long_one);
  co_await server.send_to(message->view(), message->from());
  std::array<char, 10> space;
  const std::size_t echoed = co_await client.receive(space);
  CHECK(echoed == 5);
}
