// SPDX-License-Identifier: BSL-1.0
//
// An echo server that speaks TLS, and a client that asks it. To try it, make a certificate first:
//
//     openssl req -x509 -nodes -newkey rsa:2048 -keyout key.pem -out cert.pem -days 30
//             -subj /CN=localhost -addext subjectAltName=DNS:localhost      (in one line)
//     ./tls_echo cert.pem key.pem 7000
//     listening on 127.0.0.1:7000
//     ./tls_echo --ask localhost 7000 cert.pem hello      (or: openssl s_client -connect localhost:7000)
//     TLSv1.3: hello

#include <array>
#include <cstdio>
#include <cstdlib>
#include <rondo/rondo.hpp>
#include <rondo/tls.hpp>
#include <string>
#include <string_view>
#include <utility>

rondo::task<> echo(rondo::tcp_stream plain, rondo::tls_context& context) {
  auto peer = co_await rondo::tls_stream<rondo::tcp_stream>::server(context, std::move(plain));
  std::array<char, 4096> buffer;
  for (;;) {
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) break;
    co_await peer.write(std::string_view(buffer.data(), n));
  }
  co_await peer.close();
}

rondo::task<> serve(std::string certificate, std::string key, std::uint16_t port) {
  rondo::tls_context context;
  context.certificate(certificate, key);
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(port));
  std::printf("listening on %s\n", rondo::to_string(listener.local_endpoint()).c_str());
  std::fflush(stdout);
  co_await rondo::serve(listener, echo, {}, std::ref(context));
}

rondo::task<> ask(std::string host, std::uint16_t port, std::string ca, std::string question) {
  rondo::tls_context context;
  context.ca_file(ca);
  auto plain = co_await rondo::connect(host, port);
  auto server = co_await rondo::start_tls(context, std::move(plain), host);
  co_await server.write(question + "\n");
  rondo::buffered_reader lines(server);
  const auto answer = co_await lines.read_line();
  std::printf("%s: %s\n", SSL_get_version(server.native_handle()), answer.value_or("").c_str());
  co_await server.close();
}

int main(int argc, char** argv) {
  const auto port = [&](int at) { return static_cast<std::uint16_t>(std::atoi(argv[at])); };
  if (argc == 6 && std::string_view(argv[1]) == "--ask") {
    return rondo::run_main(ask(argv[2], port(3), argv[4], argv[5]));
  }
  if (argc == 4) return rondo::run_main(serve(argv[1], argv[2], port(3)));
  std::fprintf(stderr, "usage: tls_echo CERTIFICATE KEY PORT | --ask HOST PORT CA TEXT\n");
  return 2;
}
