// SPDX-License-Identifier: BSL-1.0
//
// A server that sends back what it gets: one task a connection, 1024 at a time; an error ends its
// connection and is printed. Ctrl-C ends it: the tasks are canceled and waited for, and every
// connection is closed.
//
//     ./echo_server 7000            (then: nc 127.0.0.1 7000)
//     ./echo_server --demo 100      serves 100 connections of its own, and ends
//     echoed 100 connections
//
// smoke: --demo 100
// prints: echoed 100 connections

#include <array>
#include <cstdio>
#include <cstdlib>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

rondo::task<> echo(rondo::tcp_stream peer) {
  std::array<char, 4096> buffer;
  for (;;) {
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) break;
    co_await peer.write(std::string_view(buffer.data(), n));
  }
}

rondo::task<> talk(rondo::endpoint server, std::string message) {
  rondo::tcp_stream stream = co_await rondo::tcp_stream::connect(server);
  co_await stream.write(message);
  std::string answer(message.size(), '\0');
  co_await stream.read_exactly(answer);
  if (answer != message) throw std::runtime_error("the echo differs");
}

rondo::task<> demo(rondo::tcp_listener& listener, int connections) {
  const auto server = rondo::spawn(rondo::serve(listener, echo));
  std::vector<rondo::task<>> clients;
  for (int i = 0; i < connections; ++i) {
    clients.push_back(talk(listener.local_endpoint(), "message " + std::to_string(i)));
  }
  co_await rondo::when_all(std::move(clients));
  std::printf("echoed %d connections\n", connections);
}

int main(int argc, char** argv) {
  const bool demonstrate = argc == 3 && std::string_view(argv[1]) == "--demo";
  const auto port = static_cast<std::uint16_t>(argc == 2 ? std::atoi(argv[1]) : 0);
  rondo::tcp_listener listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(port));
  if (demonstrate) return rondo::run_main(demo(listener, std::atoi(argv[2])));
  std::printf("listening on %s\n", rondo::to_string(listener.local_endpoint()).c_str());
  std::fflush(stdout);
  return rondo::run_main(rondo::serve(listener, echo));
}
