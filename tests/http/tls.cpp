// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"

using namespace rondo::test;

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
