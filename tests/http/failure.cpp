// SPDX-License-Identifier: BSL-1.0

#include <fstream>

#include "http/servers.hpp"
#include "http/slow_names.hpp"

using namespace rondo::test;
using http::error_kind;

namespace {

/// The longest time between two turns of the loop, until it is canceled.
rondo::task<> measure_gaps(std::chrono::nanoseconds& longest) {
  for (;;) {
    const stopwatch turn;
    co_await rondo::sleep_for(1ms);
    longest = std::max(longest, turn.elapsed());
  }
}

/// A port where nobody listens.
std::string refusing_url() {
  const auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  return url_of(listener, "x");
}

rondo::task<http::error> error_with(rondo::test::behaviour how) {
  http::session session;
  co_return co_await error_of(session.get(start_peer(how)));
}

}  // namespace

LOOP_TEST("a refused connection") {
  http::session session;
  const auto url = refusing_url();
  const auto error = co_await error_of(session.get(url));
  CHECK(error.kind() == error_kind::connection_refused);
  CHECK(error.code() == std::errc::connection_refused);
  CHECK(error.url() == url);
  CHECK(std::string(error.what()) == "GET " + url + ": connection refused");
}

LOOP_TEST("a host that does not exist, while the loop goes on") {
  http::session session;
  std::chrono::nanoseconds longest{};
  auto ticking = rondo::spawn(measure_gaps(longest));
  const stopwatch watch;
  const auto error = co_await error_of(session.get("http://nowhere.invalid/x"));
  const auto took = watch.elapsed();
  ticking.cancel();
  CHECK(error.kind() == error_kind::name_not_resolved);
  CHECK(is_one_line_with(error.what(), {"GET http://nowhere.invalid/x: ", "nowhere.invalid"}));
  CHECK(took < at_most(5s));
  CHECK(longest < at_most(100ms));
}

LOOP_TEST("a name that takes long to look up stops nobody else") {
  const auto answering = start_peer(answers);
  http::session session;
  std::optional<slow_name> blocked(std::in_place);
  auto lookup = rondo::spawn(error_of(session.get("http://slow.invalid/x")));
  co_await until([] { return slow_name::waiting() == 1; });
  const auto answer = co_await session.get(answering);
  CHECK(answer.text() == "ok");
  CHECK_FALSE(lookup.done());
  blocked.reset();
  const auto error = co_await lookup;
  CHECK(error.kind() == error_kind::name_not_resolved);
  CHECK(is_one_line_with(error.what(), {"GET http://slow.invalid/x: ", "slow.invalid"}));
}

LOOP_TEST("a server that hangs up in the middle of the body") {
  const auto error = co_await error_with(hangs_up_in_the_body);
  CHECK(error.kind() == error_kind::connection_lost);
  CHECK(error.code() == std::errc::connection_reset);
  CHECK(is_one_line_with(error.what(), {"GET " + error.url() + ": ", "middle of the body", "987"}));
}

LOOP_TEST("a server that hangs up between two chunks") {
  const auto error = co_await error_with([](rondo::tcp_stream peer) -> rondo::task<> {
    static_cast<void>(co_await read_request(peer));
    co_await peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  });
  CHECK(error.kind() == error_kind::connection_lost);
  CHECK(is_one_line_with(error.what(), {"GET " + error.url() + ": "}));
}

LOOP_TEST("a server that hangs up without an answer") {
  const auto error = co_await error_with(hangs_up_before_the_answer);
  CHECK(error.kind() == error_kind::connection_lost);
  CHECK(is_one_line_with(error.what(), {"GET " + error.url() + ": ", "without an answer"}));
}

std::string many_fields(int count) {
  std::string fields;
  for (int i = 0; i < count; ++i) fields += "X: " + std::string(10'000, 'x') + "\r\n";
  return fields;
}
/// A peer that sends this as an answer, and hangs up.
template <int N>
rondo::task<> sends(rondo::tcp_stream peer) {
  static const std::array<std::string, 10> answers{
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Len",
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n",
      "HTTP/1.1 404 Not Found\r\n",
      "HTTP/1.1 200 OK\r\n" + many_fields(40) + "\r\n",
      "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" +
          std::string("\x1f\x8b\x08\0\0\0\0\0\0\xff\x4b\x04\0\xc7\xdf\xda\x59\x01\0\0\0", 21) +
          "and more",
      "HTTP/1.1 200 OK\r\nX-A: one\r\n two:\r\n\tthree\r\nX-B: b\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: " + std::string(150'000, 'x') + "\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX-A: 1\r\n \r\nX-B: 2\r\nContent-Length: 4\r\n\r\nbody",
      "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:99999999/\r\nContent-Length: 0\r\n\r\n",
      "HTTP/1.1 303 See Other\r\nLocation: /gone\r\nContent-Length: 0\r\n\r\n"};
  static_cast<void>(co_await read_request(peer));
  co_await peer.write(answers.at(N));
}

LOOP_TEST("a server that hangs up in the middle of the head") {
  for (const auto how : {sends<0>, sends<1>, sends<2>}) {
    const auto error = co_await error_with(how);
    CHECK(error.kind() == error_kind::connection_lost);
    CHECK(is_one_line_with(error.what(), {"GET " + error.url() + ": ", "middle of the head"}));
    http::session session;
    const auto of_stream = co_await error_of(session.stream(http::request("GET", start_peer(how))));
    CHECK(of_stream.kind() == error_kind::connection_lost);
    const temporary_folder folder;
    std::ofstream(folder / "precious") << "precious";
    const auto of_download =
        co_await error_of(session.download(start_peer(how), folder / "precious"));
    CHECK(of_download.kind() == error_kind::connection_lost);
    const std::string left = co_await rondo::read_file(folder / "precious");
    CHECK(left == "precious");
  }
}

LOOP_TEST("a head or a line of it that is too large, and a body that goes on after its encoding") {
  for (const auto how : {sends<3>, sends<6>, sends<4>}) {
    const auto error = co_await error_with(how);
    CHECK(error.kind() == error_kind::protocol);
    CHECK(is_one_line_with(error.what(), {"GET " + error.url() + ": "}));
  }
}

LOOP_TEST("a value that goes on in the next line is one value") {
  http::session session;
  const auto answer = co_await session.get(start_peer(sends<5>));
  CHECK(answer.headers["x-a"] == "one two: three");
  CHECK(answer.headers["x-b"] == "b");
  CHECK(answer.headers.size() == 3);
}

LOOP_TEST("a server that resets the connection") {
  const auto error = co_await error_with(resets);
  CHECK(error.kind() == error_kind::connection_lost);
  CHECK(is_one_line_with(error.what(), {"GET " + error.url() + ": ", "reset by peer"}));
}

LOOP_TEST("a server that speaks something else") {
  const auto error = co_await error_with(talks_nonsense);
  CHECK(error.kind() == error_kind::protocol);
  CHECK(error.code() == std::errc::protocol_error);
  CHECK(is_one_line_with(error.what(), {"GET " + error.url() + ": "}));
}

LOOP_TEST("an answer that breaks the rules of HTTP") {
  SECTION("chunks with a size that is no number") {
    const auto error = co_await error_with([](rondo::tcp_stream peer) -> rondo::task<> {
      static_cast<void>(co_await read_request(peer));
      co_await peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhuh\r\nx\r\n");
      co_await until_the_peer_ends(peer);
    });
    CHECK(error.kind() == error_kind::protocol);
    CHECK(is_one_line_with(error.what(), {"GET " + error.url() + ": "}));
  }
  SECTION("a body that is not compressed as it says") {
    const auto error = co_await error_with([](rondo::tcp_stream peer) -> rondo::task<> {
      static_cast<void>(co_await read_request(peer));
      co_await peer.write(
          "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: gzip\r\n\r\nhello");
      co_await until_the_peer_ends(peer);
    });
    CHECK(error.kind() == error_kind::protocol);
    CHECK(is_one_line_with(error.what(), {"GET " + error.url() + ": "}));
  }
}

LOOP_TEST("a server that hangs up while a large body is sent to it") {
  http::session session;
  const auto url = start_peer([](rondo::tcp_stream peer) -> rondo::task<> {
    static_cast<void>(co_await read_request(peer));
    peer.set_option(SOL_SOCKET, SO_LINGER, linger{1, 0});
  });
  const auto error = co_await error_of(session.post(url, std::string(20'000'000, 'x')));
  CHECK(error.kind() == error_kind::connection_lost);
  CHECK(is_one_line_with(error.what(), {"POST " + url + ": "}));
}

LOOP_TEST("what is no URL, or none that it can fetch") {
  http::session session;
  for (const char* url : {"", "http://", "http://[", "http://a:99999/", "http://a b/", "://x", "/users"}) {
    const auto error = co_await error_of(session.get(url));
    INFO(url);
    CHECK(error.kind() == error_kind::invalid_url);
    CHECK(error.code() == std::errc::invalid_argument);
    CHECK(error.url() == url);
    CHECK(is_one_line_with(error.what(), {"GET " + std::string(url) + ": ", "not a valid URL"}));
  }
  for (const char* url : {"ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://a/", "nope://a/"}) {
    const auto error = co_await error_of(session.get(url));
    INFO(url);
    CHECK(error.kind() == error_kind::invalid_url);
    CHECK(is_one_line_with(error.what(), {"GET " + std::string(url), "only http and https"}));
  }
}

LOOP_TEST("a URL with a zero byte in it does not end there") {
  http::session session;
  const auto url = refusing_url();
  const auto error = co_await error_of(session.get(url + '\0' + "/../secret"));
  CHECK(error.kind() == error_kind::invalid_url);
  http::session based(http::session_options().base_url(url));
  const auto refused = co_await error_of(based.get(std::string("a\0b", 3)));
  CHECK(refused.kind() == error_kind::invalid_url);
}

LOOP_TEST("an error is one line, whatever the URL holds, and shows no password") {
  http::session session;
  const auto error = co_await error_of(session.get("http://a\nb\r\n\x1b[31m/"));
  CHECK(is_one_line_with(error.what(), {"GET "}));
  CHECK(std::string_view(error.what()).find('\x1b') == std::string_view::npos);
  const auto url = refusing_url();
  const auto secret = "http://me:secret@" + url.substr(7);
  const auto refused = co_await error_of(session.get(secret));
  CHECK(is_one_line_with(refused.what(), {"http://me:***@" + url.substr(7)}));
  CHECK(std::string_view(refused.what()).find("secret") == std::string_view::npos);
  CHECK(refused.url() == secret);
}

LOOP_TEST("one that fails leaves the others and the session alone") {
  const auto good = start_peer(answers);
  const auto bad = start_peer(hangs_up_in_the_body);
  http::session session;
  const auto refusing = refusing_url();
  for (int i = 0; i < 10; ++i) {
    const auto [a, b, c] = co_await rondo::when_all(session.get(good), error_of(session.get(bad)),
                                                    error_of(session.get(refusing)));
    CHECK(a.text() == "ok");
    CHECK(b.kind() == error_kind::connection_lost);
    CHECK(c.kind() == error_kind::connection_refused);
  }
}

LOOP_TEST("the error of one ends the others in when_all") {
  const auto silent = start_peer(says_nothing);
  http::session session;
  const auto before = rondo_test::open_descriptors();
  for (int i = 0; i < 10; ++i) {
    const auto error =
        co_await error_of(rondo::when_all(session.get(silent), session.get(refusing_url())));
    CHECK(error.kind() == error_kind::connection_refused);
  }
  const bool closed = co_await descriptors_return_to(before);
  CHECK(closed);
}

LOOP_TEST("a line of blanks goes on with the one before, and does not end the head") {
  http::session session;
  const auto answer = co_await session.get(start_peer(sends<7>));
  CHECK(answer.headers["x-a"] == "1");
  CHECK(answer.headers["x-b"] == "2");
  CHECK(answer.text() == "body");
}

LOOP_TEST("a redirect to what is no URL is the server's fault") {
  const auto error = co_await error_with(sends<8>);
  CHECK(error.kind() == error_kind::protocol);
}
