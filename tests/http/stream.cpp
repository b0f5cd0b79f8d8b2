// SPDX-License-Identifier: BSL-1.0

// Answers whose body is read as it comes, and downloads.

#include <array>
#include <fstream>
#include <sstream>
#include <thread>

#include "http/servers.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

/// What byte number `at` of a long body is.
constexpr std::size_t long_body_part = 65536;
char byte_at(std::size_t at) { return static_cast<char>('a' + at % long_body_part % 23); }
constexpr std::size_t long_body = std::size_t{64} << 20;

std::size_t sent = 0;
/// Sends a long body as fast as it is taken.
task<> pours(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(long_body) +
                      "\r\n\r\n");
  std::string part(long_body_part, '\0');
  for (std::size_t i = 0; i < part.size(); ++i) part[i] = byte_at(i);
  for (sent = 0; sent < long_body; sent += part.size()) co_await peer.write(part);
  co_await until_the_peer_ends(peer);
}

rondo::event* body_may_come = nullptr;
task<> sends_the_body_when_told(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Kind: late\r\n\r\n");
  co_await body_may_come->wait();
  co_await peer.write("body");
  co_await until_the_peer_ends(peer);
}
task<> sends_parts(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 100; ++i) {
    co_await peer.write("2\r\n" + std::to_string(10 + i % 90) + "\r\n");
    co_await rondo::sleep_for(1ms);
  }
  co_await peer.write("0\r\n\r\n");
  co_await until_the_peer_ends(peer);
}

task<> sends_a_trailer(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n");
  co_await peer.write("X-Late: 1\r\nHTTP/1.1 303 x: y\r\n\r\n");
  co_await until_the_peer_ends(peer);
}
/// MiB of zeros, in one segment of TCP (RFC 8878: a frame of blocks that repeat a byte).
template <std::size_t MiB>
task<> sends_zeros(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  constexpr std::size_t block = std::size_t{128} << 10;
  constexpr std::size_t zeros = MiB << 20;
  std::string frame("\x28\xb5\x2f\xfd\x00\x38", 6);  // a window of 128 KiB
  for (std::size_t at = 0; at < zeros; at += block) {
    const std::size_t head = block << 3 | 1U << 1 | (at + block == zeros ? 1U : 0U);
    for (int i = 0; i < 3; ++i) frame += static_cast<char>(head >> 8 * i & 0xff);
    frame += '\0';
  }
  co_await peer.write("HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: " +
                      std::to_string(frame.size()) + "\r\n\r\n" + frame);
  co_await until_the_peer_ends(peer);
}
task<> moves_to_nowhere(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 302 Found\r\nLocation: \r\nContent-Length: 1000\r\n\r\n");
  co_await until_the_peer_ends(peer);
}

task<std::string> rest_of(http::streamed_response& answer, std::size_t step = 10'000) {
  std::string all;
  std::string part(step, '\0');
  for (;;) {
    const std::size_t n = co_await answer.read(part);
    if (n == 0) co_return all;
    all.append(part, 0, n);
  }
}
task<std::string> body_of(http::session& session, std::string url) {
  auto answer = co_await session.stream(get(std::move(url)));
  co_return co_await rest_of(answer);
}

void put_text(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}
std::ptrdiff_t names_in(const temporary_folder& folder) {
  const std::filesystem::directory_iterator all(folder / "");
  return std::distance(begin(all), end(all));
}

}  // namespace

PYTHON_TEST("a stream gives the head, and then the body in parts") {
  http::session session;
  auto answer = co_await session.stream(get(server / "bytes?n=3000000"));
  CHECK(answer.status() == 200);
  CHECK(answer.ok());
  CHECK(answer.headers()["Content-Length"] == "3000000");
  CHECK(answer.url() == server / "bytes?n=3000000");
  const std::string all = co_await rest_of(answer, 7'777);
  CHECK(all == std::string(3'000'000, 'x'));
  std::array<char, 8> more;
  const std::size_t n = co_await answer.read(more);  // the end stays the end
  CHECK(n == 0);
}

PYTHON_TEST("a stream gives its parts one after the other, as other streams do") {
  http::session session;
  auto answer = co_await session.stream(get(server / "bytes?n=100000"));
  std::string all;
  while (auto part = co_await answer.next()) {
    CHECK(!part->empty());
    all += *part;
  }
  CHECK(all == std::string(100'000, 'x'));
  const auto after = co_await answer.next();
  CHECK(!after);
}

PYTHON_TEST("a stream that is closed gives nothing any more, and leaves the session usable") {
  http::session session;
  auto answer = co_await session.stream(get(server / "bytes?n=30000000"));
  const auto part = co_await answer.next();
  CHECK(part);
  co_await answer.close();
  answer.close();
  const auto after = co_await answer.next();
  CHECK(!after);
  std::array<char, 8> more;
  const std::size_t n = co_await answer.read(more);
  CHECK(n == 0);
  CHECK(answer.status() == 200);
  const auto whole = co_await session.get(server / "bytes?n=3");
  CHECK(whole.text() == "xxx");
}

LOOP_TEST("a stream that is closed ends the read that waits") {
  const auto slow = start_peer(begins_an_answer);
  http::session session;
  auto answer = co_await session.stream(get(slow));
  std::string part(100, '\0');
  static_cast<void>(co_await answer.read(part));
  auto reading = rondo::spawn(code_of(answer.read(part)));
  co_await rondo::sleep_for(5ms);
  CHECK_FALSE(reading.done());
  answer.close();
  co_await rondo::with_timeout(10s, reading.wait());
}

PYTHON_TEST("a streamed body is decompressed, and put together from its chunks") {
  http::session session;
  const std::string zipped = co_await body_of(session, server / "gzip");
  const std::string chunked = co_await body_of(session, server / "chunked");
  CHECK(zipped.size() == 100'000);
  CHECK(zipped == chunked);
  auto answer = co_await session.stream(get(server / "gzip"));
  rondo::buffered_reader<http::streamed_response&> lines(answer);
  const auto first = co_await lines.read_line();
  CHECK(first == "line 0 of a text that is worth compressing");
}

PYTHON_TEST("the head of a stream is that of the last answer, and so is the body") {
  http::session session;
  auto answer = co_await session.stream(get(server / "redirect?code=302&to=/json"));
  CHECK(answer.status() == 200);
  CHECK(answer.url() == server / "json");
  CHECK(answer.headers()["Content-Type"] == "application/json");
  const std::string body = co_await rest_of(answer);
  CHECK(body == R"({"answer": 42})");
  http::session still(http::session_options().follow_redirects(false));
  auto moved = co_await still.stream(get(server / "redirect?code=302&to=/json"));
  CHECK(moved.status() == 302);
  const std::string text = co_await rest_of(moved);
  CHECK(text == "moved");
  auto nothing = co_await session.stream(http::request("HEAD", server / "bytes?n=1000"));
  CHECK(nothing.headers()["Content-Length"] == "1000");
  const std::string none = co_await rest_of(nothing);
  CHECK(none.empty());
}

PYTHON_TEST("a status that is an error is an answer, and raises when asked to") {
  http::session session;
  auto answer = co_await session.stream(get(server / "status/404"));
  CHECK(answer.status() == 404);
  CHECK_FALSE(answer.ok());
  std::string words;
  try {
    answer.raise_for_status();
  } catch (const http::error& e) {
    words = e.what();
  }
  CHECK(words == "GET " + (server / "status/404") + ": 404 Not Found");
}

LOOP_TEST("the head of a stream is there before its body") {
  rondo::event may_come;
  body_may_come = &may_come;
  http::session session;
  auto answer = co_await session.stream(get(start_peer(sends_the_body_when_told)));
  CHECK(answer.headers()["X-Kind"] == "late");
  may_come.set();
  const std::string body = co_await rest_of(answer);
  CHECK(body == "body");
}

LOOP_TEST("a head that says that another protocol follows is a head") {
  http::session session;
  const auto url = start_peer([](rondo::tcp_stream peer) -> rondo::task<> {
    static_cast<void>(co_await read_request(peer));
    co_await peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n");
    co_await until_the_peer_ends(peer);
  });
  auto stream = co_await session.stream(http::request("GET", url));
  CHECK(stream.status() == 101);
}

LOOP_TEST("the head of a stream stays as it is, whatever comes after the body") {
  http::session session;
  auto answer = co_await session.stream(get(start_peer(sends_a_trailer)));
  const std::size_t fields = answer.headers().size();
  const std::string body = co_await rest_of(answer);
  CHECK(body == "body");
  CHECK(answer.status() == 200);
  CHECK(answer.headers().size() == fields);
}

LOOP_TEST("a redirect to nowhere is an answer") {
  http::session session;
  const auto answer = co_await session.stream(get(start_peer(moves_to_nowhere)));
  CHECK(answer.status() == 302);
  CHECK(answer.history().empty());
}

LOOP_TEST("a body that nobody reads is not taken from the peer") {
  sent = 0;
  http::session session;
  auto answer = co_await session.stream(get(start_peer(pours)));
  // Until it gets no further: nothing was taken in ten looks in a row.
  std::size_t before = 0;
  for (int same = 0; same < 10; same = sent != 0 && sent == before ? same + 1 : 0) {
    before = sent;
    co_await rondo::sleep_for(20ms);
  }
  CHECK(sent < long_body / 2);  // what fits in the sockets, and 256 kB
  std::string part(30'011, '\0');
  std::size_t at = 0;
  bool right = true;
  for (;;) {
    const std::size_t n = co_await answer.read(part);
    if (n == 0) break;
    for (std::size_t i = 0; i < n; ++i) right = right && part[i] == byte_at(at + i);
    at += n;
  }
  CHECK(at == long_body);
  CHECK(right);
}

bool knows_zstd() {
  return (curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ZSTD) != 0;
}

task<> streams_many_zeros() {
  http::session session;
  const stopwatch whole;
  const auto answer = co_await session.get(start_peer(sends_zeros<48>));
  const auto at_once = whole.elapsed();
  CHECK(answer.text() == std::string(std::size_t{48} << 20, '\0'));
  const stopwatch streamed;
  auto parts = co_await session.stream(get(start_peer(sends_zeros<48>)));
  std::size_t size = 0;
  bool right = true;
  while (auto part = co_await parts.next()) {
    size += part->size();
    right = right && part->find_first_not_of('\0') == std::string::npos;
  }
  CHECK(size == std::size_t{48} << 20);
  CHECK(right);
  CHECK(streamed.elapsed() < 10 * at_once + 1s);
}
ON_BOTH_RINGS("what a few bytes decompress to comes through a stream as well, and in no time", {
  if (!knows_zstd()) SKIP("needs a libcurl that knows zstd");
  rondo::run(streams_many_zeros());
})

task<> streams_too_many_zeros() {
  http::session session;
  auto parts = co_await session.stream(get(start_peer(sends_zeros<100>)));
  const auto error = co_await error_of(rest_of(parts));
  CHECK(error.kind() == http::error_kind::out_of_memory);
  CHECK(is_one_line_with(error.what(), {"decompress", "64 MiB"}));
}
ON_BOTH_RINGS("what decompresses to more than libcurl keeps is an error of a stream that says so", {
  if (!knows_zstd()) SKIP("needs a libcurl that knows zstd");
  rondo::run(streams_too_many_zeros());
})

LOOP_TEST("what came of a body that breaks off is read before the error") {
  http::session session;
  auto answer = co_await session.stream(get(start_peer(hangs_up_in_the_body)));
  std::string part(100, '\0');
  const std::size_t n = co_await answer.read(part);
  CHECK(part.substr(0, n) == "the beginning");
  for (int i = 0; i < 2; ++i) {
    const auto error = co_await error_of(answer.read(part));
    CHECK(error.kind() == http::error_kind::connection_lost);
  }
}

LOOP_TEST("a stream that gets no answer is an error") {
  http::session session;
  const auto silent = co_await error_of(session.stream(get(start_peer(hangs_up_before_the_answer))));
  CHECK(silent.kind() == http::error_kind::connection_lost);
  const auto wrong = co_await error_of(session.stream(get("gopher://127.0.0.1/")));
  CHECK(wrong.kind() == http::error_kind::invalid_url);
}

LOOP_TEST("the limits of a request hold for a stream: the first byte, and the whole") {
  http::session session;
  const auto url = start_peer(says_nothing);
  const auto first =
      co_await error_of(session.stream(get(url).first_byte_timeout(50ms)));
  CHECK(first.timeout() == http::timeout_kind::first_byte);
  auto answer = co_await session.stream(get(start_peer(begins_an_answer)).timeout(50ms));
  const auto total = co_await error_of(rest_of(answer));
  CHECK(total.timeout() == http::timeout_kind::total);
}

LOOP_TEST("a read that is canceled loses nothing") {
  http::session session;
  auto answer = co_await session.stream(get(start_peer(sends_parts)));
  std::string all;
  std::string part(100, '\0');
  int canceled = 0;
  for (bool more = true; more;) {
    const auto n = co_await rondo::as_result(rondo::with_timeout(300us, answer.read(part)));
    if (!n.has_value()) {
      ++canceled;
    } else {
      all.append(part, 0, *n);
      more = *n != 0;
    }
  }
  CHECK(canceled > 0);
  std::string wanted;
  for (int i = 0; i < 100; ++i) wanted += std::to_string(10 + i % 90);
  CHECK(all == wanted);
}

LOOP_TEST("a stream that is dropped or canceled gives up its connection, and nothing else") {
  const auto good = start_peer(answers);
  const auto slow = start_peer(begins_an_answer);
  const auto silent = start_peer(says_nothing);
  const auto before = rondo_test::open_descriptors();
  {
    http::session session;
    for (int i = 0; i < 3; ++i) {
      auto dropped = co_await session.stream(get(slow));
      auto half_read = co_await session.stream(get(slow));
      std::string part(4, '\0');
      static_cast<void>(co_await half_read.read(part));
      const auto code = co_await code_of(rondo::with_timeout(20ms, session.stream(get(silent))));
      CHECK(code == std::errc::timed_out);
      const auto answer = co_await session.get(good);
      CHECK(answer.text() == "ok");
    }
    auto last = co_await session.stream(get(slow));  // goes just before its session
  }
  const bool back = co_await descriptors_return_to(before);
  CHECK(back);
}

PYTHON_TEST("streams and whole answers share a session") {
  http::session session;
  std::vector<task<std::string>> all;
  for (int i = 0; i < 20; ++i) all.push_back(body_of(session, server / "chunked"));
  const auto [texts, whole] =
      co_await rondo::when_all(rondo::when_all(std::move(all)), session.get(server / "chunked"));
  CHECK(texts.size() == 20);
  for (const std::string& text : texts) CHECK(text == whole.text());
}

ON_BOTH_RINGS("a stream that is kept longer than its loop ends as canceled", {
  const python_server server;
  http::session session;
  http::streamed_response kept;
  rondo::run([](http::session& s, http::streamed_response& to, std::string url) -> task<> {
    to = co_await s.stream(get(std::move(url)));
  }(session, kept, server / "bytes?n=3000000"));
  rondo::run([](http::session& s, http::streamed_response& from, std::string url) -> task<> {
    const std::error_code code = co_await code_of(rest_of(from));
    CHECK(code == rondo::errc::canceled);
    const auto answer = co_await s.get(std::move(url));  // the session goes on
    CHECK(answer.ok());
  }(session, kept, server / "json"));
})

ON_BOTH_RINGS("streams that are kept longer than their loop leave the session in order", {
  const python_server server;
  http::session session(http::session_options().connect_timeout(50ms));
  std::array<http::streamed_response, 2> kept;
  {
    rondo::event_loop loop;
    for (auto& to : kept) {
      loop.run([](http::session& s, http::streamed_response& into, std::string url) -> task<> {
        into = co_await s.stream(get(std::move(url)));
      }(session, to, server / "bytes?n=3000000"));
    }
    // The loop ends when libcurl's own timers, which look after the limit, are due: what it asks
    // for when it loses the first is for the sake of the second.
    std::this_thread::sleep_for(100ms);
  }
  rondo::run([](http::session& s, std::string url) -> task<> {
    const auto answer = co_await s.get(std::move(url));
    CHECK(answer.ok());
  }(session, server / "json"));
})

ON_BOTH_RINGS("a stream that is kept from one run of a loop to the next goes on", {
  const python_server server;
  http::session session;
  http::streamed_response kept;
  rondo::event_loop loop;
  loop.run([](http::session& s, http::streamed_response& to, std::string url) -> task<> {
    to = co_await s.stream(get(std::move(url)));
  }(session, kept, server / "late?ms=200"));
  loop.run([](http::streamed_response& from) -> task<> {
    const std::string all = co_await rondo::with_timeout(5s, rest_of(from));
    CHECK(all == "late");
  }(kept));
})

PYTHON_TEST("a stream and a download are the session's that was asked, wherever that is moved") {
  const temporary_folder folder;
  http::session first;
  auto stream = first.stream(get(server / "json"));
  auto download = first.download(server / "json", folder / "f");
  auto send = first.get(server / "json");
  http::session second = std::move(first);
  auto streamed = co_await std::move(stream);
  CHECK(streamed.ok());
  const auto size = co_await std::move(download);
  CHECK(size == 14);
  const auto sent_answer = co_await std::move(send);
  CHECK(sent_answer.ok());
}

// ---- Downloads ----------------------------------------------------------------------------------

PYTHON_TEST("a download is in the file when it ends, and says how far it is") {
  const temporary_folder folder;
  put_text(folder / "f", "the old one");
  http::session session;
  std::uint64_t last = 0;
  std::uint64_t of = 0;
  bool grows = true;
  const auto size = co_await session.download(server / "bytes?n=1000000", folder / "f",
                                              [&](std::uint64_t received, std::uint64_t total) {
                                                grows = grows && received > last;
                                                last = received;
                                                of = total;
                                              });
  CHECK(size == 1'000'000);
  CHECK(last == 1'000'000);
  CHECK(of == 1'000'000);
  CHECK(grows);
  CHECK(content(folder / "f") == std::string(1'000'000, 'x'));
  CHECK(names_in(folder) == 1);
  const auto zipped = co_await session.download(
      server / "gzip", folder / "g", [&](std::uint64_t, std::uint64_t total) { of = total; });
  CHECK(zipped == 100'000);
  CHECK(of == 0);  // only the compressed size is known
}

PYTHON_TEST("a download that fails leaves the file as it was") {
  const temporary_folder folder;
  put_text(folder / "f", "the old one");
  http::session session;
  const auto status = co_await error_of(session.download(server / "status/500", folder / "f"));
  CHECK(status.kind() == http::error_kind::status);
  const auto broken =
      co_await error_of(session.download(start_peer(hangs_up_in_the_body), folder / "f"));
  CHECK(broken.kind() == http::error_kind::connection_lost);
  const auto url = start_peer(begins_an_answer);
  const auto late =
      co_await code_of(rondo::with_timeout(50ms, session.download(url, folder / "f")));
  CHECK(late == std::errc::timed_out);
  const auto nowhere = co_await code_of(session.download(server / "json", folder / "none/f"));
  CHECK(nowhere == std::errc::no_such_file_or_directory);
  CHECK(content(folder / "f") == "the old one");
  CHECK(names_in(folder) == 1);
}
