// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"
#include "http/slow_names.hpp"

using namespace rondo::test;
using http::timeout_kind;

namespace {

/// Sends one byte of the body every 10 ms.
rondo::task<> dribbles(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  for (;;) {
    co_await peer.write("x");
    co_await rondo::sleep_for(10ms);
  }
}
rondo::task<> answers_later(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await rondo::sleep_for(150ms);
  co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

http::request with(std::string url, std::chrono::nanoseconds connect,
                   std::chrono::nanoseconds first_byte, std::chrono::nanoseconds total) {
  http::request r("GET", std::move(url));
  r.connect_timeout(connect).first_byte_timeout(first_byte).timeout(total);
  return r;
}

rondo::task<> fails_in_time(http::session& session, http::request request, timeout_kind which,
                            std::string words) {
  const std::string url = request.url();
  const stopwatch watch;
  const auto error = co_await error_of(session.send(std::move(request)));
  const auto took = watch.elapsed();
  CHECK(error.kind() == http::error_kind::timeout);
  CHECK(error.code() == std::errc::timed_out);
  CHECK(error.timeout() == which);
  CHECK(error.url() == url);
  CHECK(std::string(error.what()) == "GET " + url + ": " + words);
  CHECK(took >= 99ms);  // libcurl counts whole milliseconds
  CHECK(took < at_most(400ms));
}

}  // namespace

LOOP_TEST("connect_timeout limits the time until there is a connection") {
  const deaf_listener deaf;
  http::session session;
  co_await fails_in_time(session, with(deaf.url(), 100ms, 0s, 5s), timeout_kind::connect,
                         "no connection within 100 ms");
}

LOOP_TEST("connect_timeout covers the look-up of the name") {
  http::session session;
  const slow_name blocked;
  co_await fails_in_time(session, with("http://slow.invalid/", 100ms, 0s, 5s),
                         timeout_kind::connect, "no connection within 100 ms");
}

LOOP_TEST("connect_timeout covers the handshake of TLS") {
  http::session session;
  const auto url = "https" + start_peer(says_nothing).substr(4);
  co_await fails_in_time(session, with(url, 100ms, 0s, 5s), timeout_kind::connect,
                         "no connection within 100 ms");
}

LOOP_TEST("first_byte_timeout limits the time until the answer begins") {
  http::session session;
  co_await fails_in_time(session, with(start_peer(says_nothing), 5s, 100ms, 5s),
                         timeout_kind::first_byte, "no answer within 100 ms");
}

LOOP_TEST("timeout limits the time until the answer is complete") {
  http::session session;
  co_await fails_in_time(session, with(start_peer(dribbles), 5s, 5s, 100ms), timeout_kind::total,
                         "not complete within 100 ms");
  co_await fails_in_time(session, with(start_peer(says_nothing), 5s, 5s, 100ms),
                         timeout_kind::total, "not complete within 100 ms");
}

LOOP_TEST("timeout covers what comes before: connecting, and looking the name up") {
  const deaf_listener deaf;
  http::session session;
  co_await fails_in_time(session, with(deaf.url(), 5s, 5s, 100ms), timeout_kind::total,
                         "not complete within 100 ms");
  const slow_name blocked;
  co_await fails_in_time(session, with("http://slow.invalid/", 5s, 5s, 100ms), timeout_kind::total,
                         "not complete within 100 ms");
}

LOOP_TEST("timeout covers the time that a request waits for a connection") {
  http::session session(http::session_options().max_connections(1));
  const auto silent = start_peer(says_nothing);
  auto first = rondo::spawn(error_of(session.get(silent)));
  co_await rondo::sleep_for(10ms);
  co_await fails_in_time(session, with(silent, 5s, 5s, 100ms), timeout_kind::total,
                         "not complete within 100 ms");
  CHECK_FALSE(first.done());
  first.cancel();
  co_await first.wait();
}

TEST_CASE("connect_timeout does not run while a request waits for a connection") {
  if (curl_version_info(CURLVERSION_NOW)->version_num >= 0x080000) {
    SKIP("needs libcurl 7: later ones count the time that a request waits for a connection");
  }
  const auto body = []() -> rondo::task<> {
    http::session session(http::session_options().max_connections(1));
    const auto url = start_peer(answers_later);
    const auto [a, b] = co_await rondo::when_all(session.send(with(url, 100ms, 0s, 0s)),
                                                 session.send(with(url, 100ms, 0s, 0s)));
    CHECK(a.text() == "ok");
    CHECK(b.text() == "ok");
  };
  rondo::run(body());
}

LOOP_TEST("first_byte_timeout does not end an answer that has begun") {
  http::session session;
  const stopwatch watch;
  const auto error = co_await error_of(session.send(with(start_peer(dribbles), 5s, 100ms, 250ms)));
  CHECK(error.timeout() == timeout_kind::total);
  CHECK(watch.elapsed() >= 250ms);
}

LOOP_TEST("limits that are not exceeded change nothing") {
  http::session session;
  for (const auto limit : {0ms, 3000ms}) {
    const auto answer = co_await session.send(with(start_peer(answers_later), limit, limit, limit));
    CHECK(answer.text() == "ok");
  }
}

LOOP_TEST("the session's limits hold for requests that have none, and a request may lift them") {
  http::session session(http::session_options().first_byte_timeout(100ms).timeout(5s));
  const auto url = start_peer(answers_later);
  co_await fails_in_time(session, http::request("GET", url), timeout_kind::first_byte,
                         "no answer within 100 ms");
  const auto answer = co_await session.send(http::request("GET", url).first_byte_timeout(0s));
  CHECK(answer.text() == "ok");
  http::session in_all(http::session_options().timeout(100ms));
  co_await fails_in_time(in_all, http::request("GET", url), timeout_kind::total,
                         "not complete within 100 ms");
  http::session connecting(http::session_options().connect_timeout(100ms));
  const deaf_listener deaf;
  co_await fails_in_time(connecting, http::request("GET", deaf.url()), timeout_kind::connect,
                         "no connection within 100 ms");
}

LOOP_TEST("a limit is said in words that fit its size") {
  http::session session;
  const auto silent = start_peer(says_nothing);
  const auto words = [&](std::chrono::nanoseconds limit) -> rondo::task<std::string> {
    const auto error = co_await error_of(session.send(with(silent, 5s, 5s, limit)));
    co_return std::string(error.what()).substr(("GET " + silent + ": ").size());
  };
  const auto tiny = co_await words(1us);
  CHECK(tiny == "not complete within 1 ms");
  const auto odd = co_await words(1050ms);
  CHECK(odd == "not complete within 1.05 s");
}

LOOP_TEST("with_timeout around a request is a timeout_error, and no error of http") {
  http::session session;
  const auto silent = start_peer(says_nothing);
  const stopwatch watch;
  const auto code = co_await code_of(rondo::with_timeout(50ms, session.get(silent)));
  CHECK(code == std::errc::timed_out);
  CHECK(watch.elapsed() < at_most(200ms));
}
