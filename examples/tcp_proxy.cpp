// SPDX-License-Identifier: BSL-1.0
//
// A TCP proxy: what comes to a port of this machine goes on to another server, and the answers come
// back. When one side has said everything the other is told, and may go on talking.
//
//     ./tcp_proxy 7000 example.org 80     (then: curl -H 'Host: example.org' 127.0.0.1:7000)
//     ./tcp_proxy --demo                  between a client and a server of its own
//     the answer to "a question"
//
// smoke: --demo
// prints: the answer to "a question"

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <rondo/rondo.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

rondo::task<> copy(rondo::tcp_stream& from, rondo::tcp_stream& to) {
  std::array<char, 65536> buffer;
  for (;;) {
    const std::size_t n = co_await from.read(buffer);
    if (n == 0) break;
    co_await to.write(std::string_view(buffer.data(), n));
  }
  to.shutdown_write();  // the other direction goes on
}

rondo::task<> connect_through(rondo::tcp_stream client, std::string host, std::uint16_t port) {
  try {
    rondo::tcp_stream server = co_await rondo::connect(host, port);
    co_await rondo::when_all(copy(client, server), copy(server, client));
  } catch (const std::system_error& e) {
    std::fprintf(stderr, "a connection ended: %s\n", e.what());  // the others go on
  }
}

rondo::task<> proxy(rondo::tcp_listener& listener, std::string host, std::uint16_t port) {
  for (;;) {
    rondo::tcp_stream client = co_await listener.accept();
    rondo::spawn(connect_through(std::move(client), host, port));
  }
}

rondo::task<> answer_once(rondo::tcp_listener& server) {
  rondo::tcp_stream peer = co_await server.accept();
  rondo::buffered_reader in(peer);
  const std::string question = co_await in.read_all();  // up to where the client has ended
  co_await peer.write("the answer to \"" + question + "\"\n");
}

rondo::task<> demo() {
  auto server = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  auto running = rondo::spawn(proxy(listener, "localhost", server.local_endpoint().port()));
  auto answering = rondo::spawn(answer_once(server));
  auto client = co_await rondo::tcp_stream::connect(listener.local_endpoint());
  co_await client.write("a question");
  client.shutdown_write();
  rondo::buffered_reader in(client);
  const std::string answer = co_await in.read_all();
  std::printf("%s", answer.c_str());
  running.cancel();
}

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--demo") return rondo::run_main(demo());
  if (argc != 4) return std::fprintf(stderr, "usage: tcp_proxy PORT HOST PORT\n"), 2;
  const auto port = [&](int i) { return static_cast<std::uint16_t>(std::atoi(argv[i])); };
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(port(1)));
  return rondo::run_main(proxy(listener, argv[2], port(3)));
}
