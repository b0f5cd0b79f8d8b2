// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"

#include <charconv>

using namespace rondo::test;
using rondo::task;

namespace {

task<> relay(rondo::tcp_stream& from, rondo::tcp_stream& to) {
  std::array<char, 16384> bytes;
  for (;;) {
    const std::size_t n = co_await from.read(bytes);
    if (n == 0) co_return;
    co_await to.write(std::string_view(bytes.data(), n));
  }
}

/// A proxy that consents in many words, and connects to the port it was asked for.
task<> is_a_proxy(rondo::tcp_stream peer) {
  std::string head;
  std::array<char, 4096> bytes;
  while (head.find("\r\n\r\n") == head.npos) {
    const std::size_t n = co_await peer.read(bytes);
    if (n == 0) co_return;
    head.append(bytes.data(), n);
  }
  std::uint16_t port = 0;  // of "CONNECT localhost:1234 HTTP/1.1"
  const std::size_t at = head.find(':') + 1;
  std::from_chars(head.data() + at, head.data() + head.size(), port);
  co_await peer.write(
      "HTTP/1.1 299 Go ahead\r\nX-Proxy: 1\r\nContent-Type: text/x-proxy\r\n\r\n");
  auto server = co_await rondo::tcp_stream::connect("127.0.0.1", port);
  co_await rondo::when_any(relay(peer, server), relay(server, peer));
}

}  // namespace

NGINX_TEST("a server whose certificate is signed by the session's authority is trusted") {
  http::session session(http::session_options().ca_file(server.ca()));
  const auto answer = co_await session.get(server.tls("json"));
  CHECK(answer.json()["answer"] == 42);
  CHECK(answer.timings.tls > answer.timings.connect);
}

NGINX_TEST("a certificate of an unknown authority is refused, and the error says what to do") {
  http::session system;
  const auto error = co_await error_of(system.get(server.tls("json")));
  CHECK(error.kind() == http::error_kind::tls);
  CHECK(is_one_line_with(error.what(),
                         {"GET " + server.tls("json"), "certificate is not trusted", "ca_file"}));
  http::session stranger(http::session_options().ca_file(server.stranger()));
  const auto other = co_await error_of(stranger.get(server.tls("json")));
  CHECK(other.kind() == http::error_kind::tls);
  CHECK(is_one_line_with(other.what(), {"certificate is not trusted"}));
}

NGINX_TEST("a certificate for another host is refused, and the error says that it is that") {
  http::session session(http::session_options().ca_file(server.ca()));
  const auto error = co_await error_of(session.get(server.other("json")));
  CHECK(error.kind() == http::error_kind::tls);
  CHECK(is_one_line_with(error.what(),
                         {"GET " + server.other("json"), "not for this host", "localhost"}));
}

NGINX_TEST("verify_peer(false) accepts both") {
  http::session session(http::session_options().verify_peer(false));
  const auto unknown = co_await session.get(server.tls("json"));
  CHECK(unknown.status == 200);
  const auto wrong = co_await session.get(server.other("json"));
  CHECK(wrong.status == 200);
}

NGINX_TEST("what one session accepts, another does not") {
  http::session careless(http::session_options().verify_peer(false));
  static_cast<void>(co_await careless.get(server.tls("json")));
  http::session careful;
  const auto error = co_await error_of(careful.get(server.tls("json")));
  CHECK(error.kind() == http::error_kind::tls);
}

NGINX_TEST("an authority's file that is not there is named") {
  http::session session(http::session_options().ca_file("/nowhere/ca.pem"));
  const auto error = co_await error_of(session.get(server.tls("json")));
  CHECK(error.kind() == http::error_kind::tls);
  CHECK(is_one_line_with(error.what(), {"GET " + server.tls("json"), "/nowhere/ca.pem"}));
}

NGINX_TEST("https to a port that speaks http is an error of TLS") {
  http::session session;
  const auto url = "https" + (server / "json").substr(4);
  const auto error = co_await error_of(session.get(url));
  CHECK(error.kind() == http::error_kind::tls);
  CHECK(is_one_line_with(error.what(), {"GET " + url}));
}

NGINX_TEST("http to a port that speaks TLS is an answer, as the server gives it") {
  http::session session;
  const auto answer = co_await session.get("http" + server.tls("json").substr(5));
  CHECK(answer.status == 400);
}

NGINX_TEST("what a proxy says about the tunnel is no part of the answer that comes through it") {
  const std::string proxy = start_peer(is_a_proxy);
  http::session session(http::session_options().ca_file(server.ca()).proxy(proxy));
  const auto whole = co_await session.get(server.tls("json"));
  CHECK(whole.status == 200);
  CHECK_FALSE(whole.headers.contains("X-Proxy"));
  CHECK(whole.headers.get_all("Content-Type").size() == 1);
  CHECK(whole.json()["answer"] == 42);

  http::session other(http::session_options().ca_file(server.ca()).proxy(proxy));
  auto stream = co_await other.stream(http::request("GET", server.tls("json")));
  CHECK(stream.status() == 200);
  CHECK_FALSE(stream.headers().contains("X-Proxy"));
  CHECK(stream.headers()["Content-Length"] == "13");
  std::string body(100, '\0');
  const std::size_t n = co_await stream.read(body);
  CHECK(body.substr(0, n) == R"({"answer":42})");
}

NGINX_TEST("a server that wants a certificate of its client has a quarrel over TLS") {
  const tls_peers peers(server);
  http::session session(http::session_options().ca_file(server.ca()).retry(
      http::retry_policy().attempts(3).first_delay(1ms)));
  const auto error = co_await error_of(session.get(peers.strict()));
  CHECK(error.kind() == http::error_kind::tls);
  CHECK(is_one_line_with(error.what(), {"GET " + peers.strict(), "certificate required"}));
}

task<> is_no_proxy(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
  co_await until_the_peer_ends(peer);
}

LOOP_TEST("a proxy that does not connect is no connection, and the error says what it said") {
  http::session session(http::session_options().proxy(start_peer(is_no_proxy)));
  const auto error = co_await error_of(session.get("https://localhost:1/"));
  CHECK(error.kind() == http::error_kind::connect_failed);
  CHECK(is_one_line_with(error.what(), {"https://localhost:1/", "proxy", "407"}));
}

LOOP_TEST("a proxy whose URL is none is named without its password, and is not asked again") {
  for (const std::string wrong :
       {"ftp://me:secret@proxy:1", "http://me:secret@proxy:port", "http://me:secret@a b:1"}) {
    http::session session(http::session_options().proxy(wrong));
    const auto error = co_await error_of(session.get("http://localhost:1/"));
    CHECK(error.kind() == http::error_kind::invalid_url);
    CHECK(is_one_line_with(error.what(), {"proxy", "me:***@"}));
    CHECK(std::string_view(error.what()).find("secret") == std::string_view::npos);
  }
}
