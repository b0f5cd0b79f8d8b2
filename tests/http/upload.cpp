// SPDX-License-Identifier: BSL-1.0

// Bodies that are produced while they are sent.

#include <algorithm>
#include <fstream>

#include "http/servers.hpp"

using namespace rondo::test;
using rondo::async_generator;
using rondo::task;

namespace {

/// One at a time, those that are there.
template <typename... Words>
async_generator<std::string> words(Words... each) {
  const std::array<std::string, sizeof...(each)> all{each...};
  for (const std::string& word : all) {
    co_await rondo::sleep_for(1ms);
    co_yield word;
  }
}

/// How far a generator got, and how it ended.
struct progress {
  std::size_t produced = 0;  // bytes
  long memory = 0;           // the most that was resident when it was asked, in kB
  bool began = false;
  bool ended = false;
  bool canceled = false;
};

constexpr std::size_t part_size = 50'000;

/// What the process has in memory, in kB.
long resident() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
  }
  throw std::runtime_error("/proc/self/status has no VmRSS");
}

/// Views of one part, again and again.
async_generator<std::span<const std::byte>> parts(progress& p, std::size_t count) {
  p.began = true;
  const std::vector<std::byte> part(part_size, std::byte{'x'});
  try {
    for (std::size_t i = 0; i < count; ++i) {
      p.produced += part.size();
      if (i % 8 == 0) p.memory = std::max(p.memory, resident());
      co_yield std::span<const std::byte>(part);
      co_await rondo::yield();
    }
    p.ended = true;
  } catch (const rondo::operation_canceled&) {
    p.canceled = true;
    throw;
  }
}

async_generator<std::string> one_word_and_a_long_wait(progress& p, std::string word = "word") {
  p.began = true;
  co_yield std::string(word);
  try {
    co_await rondo::sleep_for(1h);
  } catch (const rondo::operation_canceled&) {
    p.canceled = true;
    throw;
  }
}
async_generator<std::string> word_and_an_end(rondo::event& end) {
  co_yield std::string("word");
  co_await end.wait();
}
async_generator<std::string> breaks() {
  co_yield std::string("the beginning");
  throw std::runtime_error("no more paper");
}

http::request post(std::string url) { return http::request("POST", std::move(url)); }

task<std::string> text_for(http::session& session, http::request request) {
  const auto answer = co_await session.send(std::move(request));
  co_return answer.text();
}
task<std::string> first_part_of(http::session& session, http::request request) {
  auto answer = co_await rondo::with_timeout(10s, session.stream(std::move(request)));
  std::string part(100, '\0');
  const std::size_t n = co_await answer.read(part);
  co_return part.substr(0, n);
}

/// Reads the head of a request; gives what came of the body with it.
task<std::string> read_head(rondo::tcp_stream& peer) {
  std::string all;
  std::array<char, 4096> buffer;
  for (;;) {
    const auto end = all.find("\r\n\r\n");
    if (end != all.npos) co_return all.substr(end + 4);
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) throw std::system_error(std::make_error_code(std::errc::connection_reset));
    all.append(buffer.data(), n);
  }
}
task<> read_body(rondo::tcp_stream& peer, std::string begun) {
  std::array<char, 65536> buffer;
  while (!begun.ends_with("0\r\n\r\n")) {
    if (begun.size() > 100) begun.erase(0, begun.size() - 100);
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) throw std::system_error(std::make_error_code(std::errc::connection_reset));
    begun.append(buffer.data(), n);
  }
}

/// Reads up to a word of the body, of which `begun` came with the head.
task<> read_word(rondo::tcp_stream& peer, std::string begun, std::string_view word) {
  std::array<char, 4096> buffer;
  while (begun.find(word) == begun.npos) {
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) throw std::system_error(std::make_error_code(std::errc::connection_reset));
    begun.append(buffer.data(), n);
  }
}

task<> reads_the_head_only(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_head(peer));
  co_await rondo::sleep_for(1h);
}
template <bool Says>
task<> refuses(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_head(peer));
  co_await peer.write(std::string("HTTP/1.1 413 Content Too Large\r\nContent-Length: 6\r\n") +
                      (Says ? "Connection: close\r\n\r\n" : "\r\n") + "sorry!");
  peer.shutdown_write();
  co_await until_the_peer_ends(peer);
}
task<> sends_it_on(rondo::tcp_stream peer) {
  for (;;) {
    std::string begun = co_await read_head(peer);
    co_await read_body(peer, std::move(begun));
    co_await peer.write(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
  }
}
task<> takes_it(rondo::tcp_stream peer) {
  for (;;) {
    std::string begun = co_await read_head(peer);
    co_await read_body(peer, std::move(begun));
    co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  }
}
/// Says the whole time what it has heard.
task<> echoes(rondo::tcp_stream peer) {
  std::string begun = co_await read_head(peer);
  co_await peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begun);
  std::array<char, 65536> buffer;
  while (!begun.ends_with("0\r\n\r\n")) {
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) co_return;
    begun.append(buffer.data(), n);
    begun.erase(0, begun.size() - std::min<std::size_t>(begun.size(), 5));
    co_await peer.write(std::string_view(buffer.data(), n));
  }
  co_await until_the_peer_ends(peer);
}

}  // namespace

PYTHON_TEST("what a generator gives is the body, in chunks or with the size that is known") {
  http::session session;
  const auto chunked =
      co_await session.send(post(server / "inspect").body(words("one ", "", "two ", "three")));
  CHECK(chunked.json()["body"] == "one two three");
  const auto sized =
      co_await session.send(http::request("PUT", server / "inspect").body(words("ab", "c"), 3));
  const auto json = sized.json();
  CHECK(json["body"] == "abc");
  CHECK(json["method"] == "PUT");
  const auto length = nlohmann::json::array({"Content-Length", "3"});
  const auto& fields = json["headers"];
  CHECK(std::find(fields.begin(), fields.end(), length) != fields.end());
  const auto nothing = co_await session.send(post(server / "inspect").body(words<>()));
  CHECK(nothing.json()["body"] == "");
  auto streamed = co_await session.stream(post(server / "echo").body(words("and ", "back")));
  std::string back(100, '\0');
  const std::size_t n = co_await streamed.read(back);
  CHECK(back.substr(0, n) == "and back");
  const auto stats = co_await stats_of(server);
  CHECK(stats.connections == 1);  // each left it in order
}

PYTHON_TEST("a file is uploaded as it is read") {
  const temporary_folder folder;
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += std::to_string(i) + "\n";
  std::ofstream(folder / "f") << text;
  http::session session;
  auto file = co_await rondo::file::open(folder / "f");
  const std::uint64_t size = co_await file.size();
  const auto answer =
      co_await session.send(http::request("PUT", server / "echo").body(std::move(file), size));
  CHECK((answer.text() == text));
  auto again = co_await rondo::file::open(folder / "f");
  const auto chunked =
      co_await session.send(http::request("PUT", server / "echo").body(std::move(again)));
  CHECK((chunked.text() == text));
}

LOOP_TEST("100 MB are uploaded, and the memory for it is that of a few parts") {
  http::session session;
  const auto url = start_peer(takes_it);
  progress first;
  static_cast<void>(co_await session.send(post(url).body(parts(first, 10))));
  progress p;
  const auto answer = co_await session.send(post(url).body(parts(p, 2000)));
  CHECK(answer.text() == "ok");
  CHECK(p.produced == 100'000'000);
  CHECK(p.ended);
  CHECK(p.memory - first.memory < 10'000);
}

LOOP_TEST("a body that the server does not take is not produced, and is canceled with the request") {
  http::session session;
  const auto url = start_peer(reads_the_head_only);
  for (const bool streamed : {false, true}) {
    progress p;
    std::error_code code;
    auto request = post(url).body(parts(p, 2000));
    if (streamed) {
      code = co_await code_of(rondo::with_timeout(300ms, session.stream(std::move(request))));
    } else {
      code = co_await code_of(rondo::with_timeout(300ms, session.send(std::move(request))));
    }
    CHECK(code == std::errc::timed_out);
    CHECK(p.began);
    CHECK_FALSE(p.ended);
    CHECK(p.produced < 50'000'000);  // what fits into the sockets
  }
}

LOOP_TEST("a generator that waits is canceled with its request, by a limit of it, too") {
  http::session session;
  const auto url = start_peer(reads_the_head_only);
  progress p;
  auto request = post(url).body(one_word_and_a_long_wait(p));
  const auto code = co_await code_of(rondo::with_timeout(50ms, session.send(std::move(request))));
  CHECK(code == std::errc::timed_out);
  CHECK(p.canceled);
  progress q;
  const auto late = co_await error_of(
      session.send(post(url).body(one_word_and_a_long_wait(q)).timeout(50ms)));
  CHECK(late.timeout() == http::timeout_kind::total);
  CHECK(q.canceled);
}

LOOP_TEST("a request that gets no connection does not touch its body") {
  http::session session;
  std::string nobody;
  {
    const auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
    nobody = url_of(listener);
  }
  progress p;
  auto request = post(nobody).body(parts(p, 10));
  const auto error = co_await error_of(session.send(request));
  CHECK(error.kind() == http::error_kind::connection_refused);
  CHECK_FALSE(p.began);
  request.body("then this");  // and it may be sent again, with this body or another
}

PYTHON_TEST("an error of the generator is that of the request, whose connection is not used again") {
  http::session session;
  for (const bool streamed : {false, true}) {
    std::string what;
    auto request = post(server / "inspect").body(breaks());
    try {
      if (streamed) {
        static_cast<void>(co_await session.stream(std::move(request)));
      } else {
        static_cast<void>(co_await session.send(std::move(request)));
      }
    } catch (const std::runtime_error& e) {
      what = e.what();
    }
    CHECK(what == "no more paper");
    const auto answer = co_await session.get(server / "json");
    CHECK(answer.ok());
  }
  std::string what;
  for (const std::uint64_t size : {2u, 4u}) {
    try {
      static_cast<void>(co_await session.send(post(server / "echo").body(words("a", "bc"), size)));
    } catch (const std::length_error& e) {
      what += e.what();
    }
  }
  CHECK(what ==
        "rondo: the body of a request has more than the 2 bytes that were announced"
        "rondo: the body of a request has fewer than the 4 bytes that were announced");
}

LOOP_TEST("a server that refuses early is heard, and the rest is not produced") {
  for (const auto how : {refuses<true>, refuses<false>}) {
    const auto url = start_peer(how);
    http::session session;
    progress p;
    const auto answer = co_await session.send(post(url).body(parts(p, 2000)));
    CHECK(answer.status == 413);
    CHECK(answer.text() == "sorry!");
    CHECK_FALSE(p.ended);
    progress q;
    const auto waiting = co_await session.send(post(url).body(one_word_and_a_long_wait(q)));
    CHECK(waiting.status == 413);
    CHECK(q.canceled);
    progress r;
    auto streamed = co_await session.stream(post(url).body(one_word_and_a_long_wait(r)));
    CHECK(streamed.status() == 413);
    CHECK(r.canceled);
    std::string text(100, '\0');
    const std::size_t n = co_await streamed.read(text);
    CHECK(text.substr(0, n) == "sorry!");
  }
}

LOOP_TEST("an answer that comes while the body is sent does not stop it") {
  http::session session;
  progress p;
  const auto url = start_peer(echoes);
  const auto answer = co_await session.send(post(url).body(parts(p, 200)));
  CHECK(p.ended);
  CHECK(answer.text().size() == 200 * part_size);
}

LOOP_TEST("a stream does not stop the body by keeping a long answer from coming") {
  http::session session;
  progress p;
  auto request = post(start_peer(echoes)).body(parts(p, 300));  // more than the sockets hold
  auto answer = co_await rondo::with_timeout(10s, session.stream(std::move(request)));
  CHECK(p.ended);
  std::string part(65536, '\0');
  std::size_t total = 0;
  while (const std::size_t n = co_await answer.read(part)) total += n;
  CHECK(total == 300 * part_size);
}

LOOP_TEST("a stream is there when the body that was announced is nothing") {
  http::session session;
  const auto url = start_peer(begins_an_answer);
  auto request = post(url).body(words<>(), 0);
  const auto text = co_await first_part_of(session, std::move(request));
  CHECK(text == "the beginning");
  bool noticed = false;
  try {
    static_cast<void>(co_await session.stream(post(url).body(words("a"), 0)));
  } catch (const std::length_error&) {
    noticed = true;
  }
  CHECK(noticed);
}

LOOP_TEST("after a redirect that goes on with GET, the rest of the body is not wanted") {
  struct {
    const char* method;
    const char* status;
  } const all[] = {{"POST", "302 Found"}, {"POST", "303 See Other"}, {"PUT", "303 See Other"}};
  for (const auto& each : all) {
    for (const std::string sent : {"", "word", "xxx"}) {
      http::session session;
      auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
      progress p;
      http::request request(each.method, url_of(listener));
      if (sent == "xxx") {
        request.body(parts(p, 2000));
      } else {
        request.body(one_word_and_a_long_wait(p, sent));
      }
      auto text = spawn(first_part_of(session, std::move(request)));
      auto peer = co_await listener.accept();
      std::string begun = co_await read_head(peer);
      co_await read_word(peer, std::move(begun), sent);
      co_await peer.write("HTTP/1.1 " + std::string(each.status) +
                          "\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
      auto next = co_await rondo::with_timeout(10s, listener.accept());
      co_await begins_an_answer(std::move(next));
      const std::string first = co_await std::move(text);
      CHECK(first == "the beginning");
      CHECK_FALSE(p.ended);
      CHECK(p.canceled == (sent != "xxx"));
    }
  }
}

LOOP_TEST("a body may end when its request, after a redirect, waits for a connection") {
  for (const auto size : {std::optional<std::uint64_t>(), std::optional<std::uint64_t>(4)}) {
    http::session session(http::session_options().max_connections_per_host(1));
    auto here = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
    auto there = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
    auto busy = spawn(text_for(session, http::request("GET", url_of(there))));
    auto kept = co_await there.accept();
    static_cast<void>(co_await read_request(kept));

    rondo::event end;
    auto text = spawn(text_for(session, post(url_of(here)).body(word_and_an_end(end), size)));
    auto peer = co_await here.accept();
    std::string begun = co_await read_head(peer);
    co_await read_word(peer, std::move(begun), "word");
    co_await peer.write("HTTP/1.1 303 See Other\r\nConnection: close\r\nLocation: " +
                        url_of(there) + "\r\nContent-Length: 0\r\n\r\n");
    co_await until_the_peer_ends(peer);
    end.set();
    for (int i = 0; i < 2; ++i) {
      co_await kept.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      if (i == 0) static_cast<void>(co_await rondo::with_timeout(10s, read_request(kept)));
    }
    const std::string first = co_await std::move(busy);
    CHECK(first == "ok");
    const std::string second = co_await std::move(text);
    CHECK(second == "ok");
  }
}

LOOP_TEST("a body that was nothing can be sent again after a redirect") {
  http::session session;
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  auto text = spawn(text_for(session, post(url_of(listener)).body(words<>())));
  auto peer = co_await listener.accept();
  std::string begun = co_await read_head(peer);
  co_await read_body(peer, std::move(begun));
  co_await peer.write("HTTP/1.1 307 Temporary Redirect\r\nLocation: " + start_peer(takes_it) +
                      "\r\nContent-Length: 0\r\n\r\n");
  const std::string answer = co_await std::move(text);
  CHECK(answer == "ok");
}

LOOP_TEST("a body that is produced is sent once: not after a redirect, and not by a copy") {
  http::session session;
  const auto again = co_await error_of(session.send(post(start_peer(sends_it_on)).body(words("a"))));
  CHECK(is_one_line_with(again.what(), {"POST http://127.0.0.1", "stream", "second time"}));
  const auto url = start_peer(takes_it);
  auto request = post(url).body(words("a"));
  const auto answer = co_await session.send(request);
  CHECK(answer.ok());
  bool refused = false;
  try {
    static_cast<void>(co_await session.send(request));
  } catch (const std::logic_error&) {
    refused = true;
  }
  CHECK(refused);
  progress p;
  const auto race = http::request("PUT", url).body(parts(p, 3));
  const auto both = co_await rondo::when_all_settled(session.send(race), session.send(race));
  CHECK(std::get<0>(both).has_value() != std::get<1>(both).has_value());
}
