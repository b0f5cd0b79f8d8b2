// SPDX-License-Identifier: BSL-1.0

#include <rondo/tls.hpp>

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "streams/conformance.hpp"
#include "support/descriptors.hpp"
#include "support/loop_test.hpp"
#include "tls/certificates.hpp"

using namespace std::chrono_literals;
using namespace rondo;
using namespace rondo::test;

namespace {

using stream = tls_stream<tcp_stream>;

task<std::string> read_all(stream& from) {
  std::string all;
  std::array<char, 4096> buffer;
  for (;;) {
    const std::size_t n = co_await from.read(buffer);
    if (n == 0) co_return all;
    all.append(buffer.data(), n);
  }
}

struct agreement {
  std::string client;  // what was thrown there; empty: nothing
  std::string server;
  long verification = 0;
};
std::string words_of_thrown(const std::exception_ptr& error, long* verification = nullptr) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const tls_error& e) {
    if (verification != nullptr) *verification = e.verification();
    return e.what();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}
/// How it ends when two sides agree, or do not. A client of TLS 1.3 is done before the server has
/// looked at its certificate, so each side also reads.
task<agreement> agree(tls_context client, tls_context server, std::string host = "localhost") {
  auto plain = co_await tcp_pair();
  const auto talk = [](task<stream> agreed, bool first) -> task<> {
    stream s = co_await std::move(agreed);
    if (first) co_await s.write("x");
    std::array<char, 1> byte;
    co_await s.read_exactly(byte);
    if (!first) co_await s.write("x");
  };
  auto both = co_await when_all_settled(
      talk(stream::client(client, std::move(plain.a), std::move(host)), true),
      talk(stream::server(server, std::move(plain.b)), false));
  agreement a;
  a.client = words_of_thrown(std::get<0>(both).exception(), &a.verification);
  a.server = words_of_thrown(std::get<1>(both).exception());
  co_return a;
}
/// A stream that does not say how far it came with a write.
struct whole_writes {
  explicit whole_writes(unix_stream s) : below(std::move(s)) {}
  unix_stream below;
  auto read(mutable_buffer to) & { return below.read(to); }
  auto write(const_buffer from) & { return below.write(from); }
  auto close() & { return below.close(); }
};
/// A stream that has no memory for a write, once, when it is told so.
struct failing_once {
  explicit failing_once(unix_stream s) : below(std::move(s)) {}
  unix_stream below;
  bool fails = false;
  auto read(mutable_buffer to) & { return below.read(to); }
  task<> write(const_buffer from) & { co_await below.write(from); }
  task<std::size_t> write_some(const_buffer from) & {
    if (std::exchange(fails, false)) throw std::system_error(ENOBUFS, std::system_category());
    const std::size_t gone = co_await below.write_some(from);
    co_return gone;
  }
  auto close() & { return below.close(); }
};
std::pair<unix_stream, unix_stream> small_sockets() {
  auto both = socket_pair();
  both.first.set_send_buffer(4096);
  both.second.set_send_buffer(4096);
  return both;
}

/// A hundred megabytes go to a peer that sends each piece back before it reads the next.
template <typename Below>
task<> echoes(Below a, Below b) {
  using secure = tls_stream<Below>;
  constexpr std::size_t total = 100'000'000;
  const std::string million = pattern(1'000'000);
  const auto echo = [](secure& peer) -> task<> {
    std::string piece(16 << 10, '\0');
    for (std::size_t n = 0; (n = co_await peer.read(piece)) != 0;) {
      co_await peer.write(const_buffer(piece.data(), n));
    }
    co_await peer.shutdown_write();
  };
  const auto send = [](secure& to, const std::string& piece) -> task<> {
    for (std::size_t sent = 0; sent != total; sent += piece.size()) co_await to.write(piece);
    co_await to.shutdown_write();
  };
  const auto receive = [](secure& from, const std::string& expected) -> task<bool> {
    std::string piece(expected.size(), '\0');
    for (std::size_t came = 0; came != total; came += piece.size()) {
      co_await from.read_exactly(piece);
      if (piece != expected) co_return false;
    }
    const std::size_t end = co_await from.read(piece);
    co_return end == 0;
  };
  auto ends = co_await tls_pair(std::move(a), std::move(b), client_context(), server_context());
  const auto all = co_await when_all(echo(ends.server), send(ends.client, million),
                                     receive(ends.client, million));
  const bool right = std::get<2>(all);
  CHECK(right);
}

}  // namespace

// Whom to trust

LOOP_TEST("a client that trusts the authority talks to the server by name and by address") {
  const agreement by_name = co_await agree(client_context(), server_context());
  const agreement by_address = co_await agree(client_context(), server_context(), "127.0.0.1");
  CHECK(by_name.client.empty());
  CHECK(by_name.server.empty());
  CHECK(by_address.client.empty());
}

LOOP_TEST("a certificate of somebody unknown is refused, and the error says why") {
  const auto trusts_others = tls_context().ca_file(certificates::get().stranger());
  const agreement a = co_await agree(trusts_others, server_context());
  INFO(a.client << " | " << a.server);
  CHECK(contains(a.client, "TLS handshake with localhost"));
  CHECK(contains(a.client, "certificate verify failed"));
  CHECK(a.verification == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
  CHECK(contains(a.server, "unknown ca"));
}

LOOP_TEST("the system's certificates do not vouch for a test's") {
  const agreement a = co_await agree(tls_context(), server_context());
  CHECK(contains(a.client, "certificate verify failed"));
}

LOOP_TEST("a certificate for another name or address is refused") {
  const agreement name = co_await agree(client_context(), server_context(), "example.org");
  const agreement address = co_await agree(client_context(), server_context(), "127.0.0.2");
  INFO(name.client << " | " << address.client);
  CHECK(name.verification == X509_V_ERR_HOSTNAME_MISMATCH);
  CHECK(address.verification == X509_V_ERR_IP_ADDRESS_MISMATCH);
}

LOOP_TEST("a client that does not verify takes any certificate, and needs no name") {
  const auto careless = tls_context().verify(false);
  const agreement a = co_await agree(careless, server_context(), "example.org");
  const agreement without = co_await agree(careless, server_context(), "");
  CHECK(a.client.empty());
  CHECK(without.client.empty());
}

LOOP_TEST("an error of a client that does not verify is not the certificate's") {
  auto plain = co_await tcp_pair();
  auto ends = co_await when_all(
      stream::client(tls_context().verify(false), std::move(plain.a), "localhost"),
      stream::server(server_context(), std::move(plain.b)));
  stream& client = std::get<0>(ends);
  co_await std::get<1>(ends).stream().write(std::string("no record at all, and long enough"));
  std::array<char, 10> space;
  std::string words;
  long verdict = -1;
  try {
    static_cast<void>(co_await client.read(space));
  } catch (const tls_error& e) {
    words = e.what();
    verdict = e.verification();
  }
  // In the words of OpenSSL 3.0, and 3.5.
  CHECK((contains(words, "wrong version number") || contains(words, "bad record type")));
  CHECK_FALSE(contains(words, "certificate"));
  CHECK(verdict == 0);
}

LOOP_TEST("a client that verifies needs the name of the host") {
  auto plain = co_await tcp_pair();
  CHECK_THROWS_AS(stream::client(client_context(), std::move(plain.a), ""), std::invalid_argument);
}

LOOP_TEST("the name of a host does not end at a zero byte, behind which may be another name") {
  auto plain = co_await tcp_pair();
  CHECK_THROWS_AS(
      stream::client(client_context(), std::move(plain.a), std::string("localhost\0.example", 18)),
      std::invalid_argument);
}

LOOP_TEST("a server that wants to know its clients talks only to those who show a certificate") {
  const certificates& c = certificates::get();
  const auto strict = server_context().ca_file(c.ca()).require_client_certificate();
  const agreement nobody = co_await agree(client_context(), strict);
  const agreement known =
      co_await agree(client_context().certificate(c.client(), c.client_key()), strict);
  INFO(nobody.client << " | " << nobody.server);
  CHECK(contains(nobody.server, "peer did not return a certificate"));
  CHECK(contains(nobody.client, "certificate required"));
  CHECK(known.client.empty());
  CHECK(known.server.empty());
}

TEST_CASE("a file that cannot be used is named") {
  const certificates& c = certificates::get();
  const auto words = [](auto make) -> std::string {
    try {
      make();
    } catch (const tls_error& e) {
      return e.what();
    }
    return "";
  };
  const std::string none = words([] { static_cast<void>(tls_context().ca_file("/no/such.pem")); });
  const std::string key =
      words([&] { static_cast<void>(tls_context().certificate(c.server(), "/no/key")); });
  const std::string other =
      words([&] { static_cast<void>(tls_context().certificate(c.server(), c.client_key())); });
  INFO(none << " | " << key << " | " << other);
  CHECK(contains(none, "/no/such.pem"));
  CHECK(contains(none, "No such file or directory"));
  CHECK(contains(key, "/no/key"));
  CHECK(contains(key, "No such file or directory"));
  CHECK(contains(other, "mismatch"));
}

// What is agreed on

LOOP_TEST("both sides know the protocol that was agreed on, the server's best that the client has") {
  auto plain = co_await tcp_pair();
  auto ends = co_await tls_pair(std::move(plain.a), std::move(plain.b),
                                client_context().alpn({"http/1.1", "h2"}),
                                server_context().alpn({"h2", "http/1.1"}));
  CHECK(ends.client.protocol() == "h2");
  CHECK(ends.server.protocol() == "h2");
}

LOOP_TEST("without a protocol in common there is no connection, and without ALPN there is none to agree on") {
  const agreement a =
      co_await agree(client_context().alpn({"one"}), server_context().alpn({"other"}));
  INFO(a.client << " | " << a.server);
  CHECK(contains(a.client, "no application protocol"));
  CHECK_FALSE(a.server.empty());
  const auto ends = co_await tls_pair();
  CHECK(ends.client.protocol().empty());
}

TEST_CASE("a protocol has a name of 1 to 255 bytes") {
  CHECK_THROWS_AS(tls_context().alpn({""}), std::invalid_argument);
  CHECK_THROWS_AS(tls_context().alpn({std::string(256, 'x')}), std::invalid_argument);
}

LOOP_TEST("a version that the other side does not speak is refused") {
  auto old = client_context();
  SSL_CTX_set_max_proto_version(old.native_handle(), TLS1_2_VERSION);
  const agreement a = co_await agree(old, server_context().min_version(TLS1_3_VERSION));
  INFO(a.client << " | " << a.server);
  CHECK_FALSE(a.client.empty());
  CHECK(contains(a.server, "unsupported protocol"));
}

LOOP_TEST("a second connection to a host resumes the session of the first, on either version") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto mine = client_context();
    SSL_CTX_set_max_proto_version(mine.native_handle(), version);
    const auto theirs = server_context();
    std::array<bool, 3> resumed{};
    for (bool& r : resumed) {
      auto plain = co_await tcp_pair();
      auto ends = co_await tls_pair(std::move(plain.a), std::move(plain.b), mine, theirs);
      co_await ends.server.write("x");
      std::array<char, 1> byte;
      co_await ends.client.read_exactly(byte);  // the ticket comes before it
      r = ends.client.resumed() && ends.server.resumed();
      co_await when_all(ends.client.close(), ends.server.close());
    }
    CHECK(resumed == std::array<bool, 3>{false, true, true});
  }
}

LOOP_TEST("what was not verified is not resumed by who verifies") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    tls_context careful;
    SSL_CTX_set_max_proto_version(careful.native_handle(), version);
    tls_context careless = careful;
    careless.verify(false);
    const auto theirs = server_context();
    auto plain = co_await tcp_pair();
    auto ends = co_await tls_pair(std::move(plain.a), std::move(plain.b), careless, theirs);
    co_await ends.server.write("x");
    std::array<char, 1> byte;
    co_await ends.client.read_exactly(byte);  // the ticket comes before it
    co_await when_all(ends.client.close(), ends.server.close());
    const agreement a = co_await agree(careful, theirs);
    CHECK(contains(a.client, "certificate verify failed"));
  }
}

// Reading and writing

LOOP_TEST("both directions are used at the same time") {
  auto ends = co_await tls_pair();
  const std::string one(4 << 20, 'a');
  const std::string other(4 << 20, 'b');
  const auto send = [](stream& to, const std::string& text) -> task<> {
    co_await to.write(text);
    co_await to.shutdown_write();
  };
  auto all = co_await when_all(send(ends.client, one), send(ends.server, other),
                               read_all(ends.client), read_all(ends.server));
  const bool right = std::get<2>(all) == other && std::get<3>(all) == one;
  CHECK(right);
}

LOOP_TEST("a read does not wait for room to write, so a peer that answers before it reads on is no deadlock") {
  auto [a, b] = small_sockets();
  co_await echoes(std::move(a), std::move(b));
  auto [c, d] = small_sockets();
  co_await echoes(whole_writes(std::move(c)), whole_writes(std::move(d)));
}

LOOP_TEST("shutdown_write ends one direction, and the other goes on") {
  auto ends = co_await tls_pair();
  co_await ends.client.write("question");
  co_await ends.client.shutdown_write();
  const auto refused = co_await as_result(ends.client.write("more"));
  CHECK(refused.error() == std::errc::broken_pipe);
  const std::string question = co_await read_all(ends.server);
  co_await ends.server.write("answer");
  co_await ends.server.close();
  const std::string answer = co_await read_all(ends.client);
  CHECK(question == "question");
  CHECK(answer == "answer");
}

LOOP_TEST("shutdown_write does nothing before it is awaited, and may be repeated") {
  auto ends = co_await tls_pair();
  buffered_reader client(ends.client);
  static_cast<void>(client.shutdown_write());
  co_await client.write("question");
  co_await client.shutdown_write();
  const std::string question = co_await read_all(ends.server);
  co_await ends.server.write("an");
  co_await ends.server.write("swer");
  std::array<char, 2> space;
  co_await client.read_exactly(space);
  co_await client.shutdown_write();
  co_await ends.server.shutdown_write();
  const std::string rest = co_await client.read_all();
  CHECK(question == "question");
  CHECK(rest == "swer");
}

LOOP_TEST("an end that the peer did not announce is an error, each time") {
  auto ends = co_await tls_pair();
  co_await ends.client.write("abc");
  ends.client.stream().shutdown_write();
  std::array<char, 10> space;
  const std::size_t n = co_await ends.server.read(space);
  CHECK(n == 3);
  for (int i = 0; i < 2; ++i) {
    const std::error_code code = co_await code_of(ends.server.read(space));
    CHECK(code == errc::unexpected_eof);
  }
}

LOOP_TEST("read_exactly tells how much came before an end that the peer did not announce") {
  auto ends = co_await tls_pair();
  co_await ends.client.write("hello");
  ends.client.stream().shutdown_write();
  std::array<char, 10> space;
  std::size_t came = 0;
  try {
    co_await ends.server.read_exactly(space);
  } catch (const unexpected_eof& e) {
    came = e.received();
  }
  CHECK(came == 5);
}

LOOP_TEST("a peer that speaks something else is an error, on both sides") {
  auto plain = co_await tcp_pair();
  co_await plain.b.write("HTTP/1.1 400 Bad Request\r\n\r\n");
  const std::string client =
      co_await test::words_of(stream::client(client_context(), std::move(plain.a), "localhost"));
  auto more = co_await tcp_pair();
  co_await more.a.write("GET / HTTP/1.1\r\n\r\n");
  const std::string server =
      co_await test::words_of(stream::server(server_context(), std::move(more.b)));
  INFO(client << " | " << server);
  CHECK(contains(client, "wrong version number"));
  CHECK(contains(server, "http request"));
}

LOOP_TEST("bytes that were tampered with are an error, each time, and writing is one then, too") {
  auto ends = co_await tls_pair();
  const std::string record("\x17\x03\x03\x00\x20", 5);
  co_await ends.client.stream().write(record + std::string(32, 'x'));
  std::array<char, 10> space;
  const std::string first = co_await test::words_of(ends.server.read(space));
  const std::string again = co_await test::words_of(ends.server.read(space));
  const std::string write = co_await test::words_of(ends.server.write("x"));
  INFO(first << " | " << again << " | " << write);
  CHECK(contains(first, "bad record mac"));
  CHECK(contains(again, "it failed before"));
  CHECK(contains(write, "it failed before"));
}

LOOP_TEST("after a write that was canceled half-way the stream goes on with the next") {
  auto ends = co_await tls_pair();
  const auto write_much = [](stream& to, std::string text) -> task<> { co_await to.write(text); };
  auto writing = spawn(write_much(ends.client, std::string(16 << 20, 'x')));
  co_await try_for(10ms, writing.wait());
  writing.cancel();
  const std::error_code code = co_await code_of(std::move(writing));
  CHECK(code == errc::canceled);
  const auto finish = [](stream& to) -> task<> {
    co_await to.write("the end");
    co_await to.close();
  };
  auto all = co_await when_all(read_all(ends.server), finish(ends.client));
  const std::string& came = std::get<0>(all);
  CHECK(came.size() < (16 << 20));
  CHECK(came.ends_with("xthe end"));
  CHECK(came.find_first_not_of('x') == came.size() - 7);
}

LOOP_TEST("a write_some whose bytes cannot go at the moment gives how many wait, and they go once") {
  auto [a, b] = socket_pair();
  auto ends = co_await tls_pair(failing_once(std::move(a)), failing_once(std::move(b)),
                                client_context(), server_context());
  ends.client.stream().fails = true;
  const std::size_t taken = co_await ends.client.write_some("hello ");
  CHECK(taken == 6);
  co_await ends.client.write("world");
  co_await ends.client.close();
  const std::string came = co_await read_to_end(ends.server);
  CHECK(came == "hello world");

  ends.server.stream().fails = true;
  const std::error_code all = co_await code_of(ends.server.write("x"));  // which does not say how much
  CHECK(all == std::errc::no_buffer_space);
}

LOOP_TEST("write_some gives how much was taken, which goes before the next, also when it is canceled") {
  auto [a, b] = small_sockets();
  auto ends = co_await tls_pair(std::move(a), std::move(b), client_context(), server_context());
  using local = tls_stream<unix_stream>;
  const std::string sent = pattern(1'000'000);
  std::size_t taken = 0;
  for (std::error_code code; !code;) {  // until the ring is full
    const auto write = [](local& to, const std::string& text, std::size_t& at) -> task<> {
      at += co_await to.write_some(const_buffer(text).after(at));
    };
    auto writing = spawn(code_of(write(ends.client, sent, taken)));
    co_await try_for(10ms, writing.wait());
    writing.cancel();
    code = co_await writing;
  }
  CHECK(taken > 0);
  CHECK(taken < sent.size());
  const auto flush_and_close = [](local& to) -> task<> {
    co_await to.flush();
    co_await to.close();
  };
  const auto both = co_await when_all(read_to_end(ends.server), flush_and_close(ends.client));
  const bool same = std::get<0>(both) == sent.substr(0, taken);
  CHECK(same);
}

LOOP_TEST("a write that is canceled half-way over a stream that does not say how far it came is the last") {
  auto [a, b] = small_sockets();
  auto ends = co_await tls_pair(whole_writes(std::move(a)), whole_writes(std::move(b)),
                                client_context(), server_context());
  using local = tls_stream<whole_writes>;
  const auto write_much = [](local& to) -> task<> { co_await to.write(pattern(1'000'000)); };
  auto writing = spawn(code_of(write_much(ends.client)));
  co_await try_for(10ms, writing.wait());
  writing.cancel();
  const std::error_code code = co_await writing;
  CHECK(code == errc::canceled);
  std::array<char, 1> byte;
  const std::string write = co_await test::words_of(ends.client.write("x"));
  const std::string read = co_await test::words_of(ends.client.read(byte));
  CHECK(contains(write, "it failed before"));
  CHECK(contains(read, "it failed before"));
}

LOOP_TEST("a conversation goes over to TLS in the middle") {
  auto plain = co_await tcp_pair();
  const auto client = [](tcp_stream s) -> task<std::string> {
    co_await s.write("STARTTLS\r\n");
    std::array<char, 4> ready;
    co_await s.read_exactly(ready);
    auto secure = co_await start_tls(client_context(), std::move(s), "localhost");
    co_await secure.write("secret");
    co_await secure.shutdown_write();
    co_return co_await read_all(secure);
  };
  const auto server = [](tcp_stream s) -> task<std::string> {
    std::array<char, 10> line;
    co_await s.read_exactly(line);
    co_await s.write("220\n");
    auto secure = co_await stream::server(server_context(), std::move(s));
    std::string came = co_await read_all(secure);
    co_await secure.write("kept");
    co_await secure.close();
    co_return came;
  };
  const auto both = co_await when_all(client(std::move(plain.a)), server(std::move(plain.b)));
  CHECK(std::get<0>(both) == "kept");
  CHECK(std::get<1>(both) == "secret");
}

LOOP_TEST("a stream that is only referred to stays its owner's") {
  auto plain = co_await tcp_pair();
  {
    auto both = co_await when_all(
        tls_stream<tcp_stream&>::client(client_context(), plain.a, "localhost"),
        tls_stream<tcp_stream&>::server(server_context(), plain.b));
    std::array<char, 2> space;
    co_await std::get<0>(both).write("hi");
    co_await std::get<1>(both).read_exactly(space);
    CHECK(std::string_view(space.data(), 2) == "hi");
  }
  CHECK(plain.a.native_handle() >= 0);
}

// Ends of other kinds

LOOP_TEST("an agreement that is canceled closes the stream") {
  const auto before = rondo_test::open_descriptors();
  auto plain = co_await tcp_pair();
  const auto none = co_await try_for(
      5ms, stream::client(client_context(), std::move(plain.a), "localhost"));
  CHECK_FALSE(none.has_value());
  std::string hello;
  std::array<char, 2048> buffer;
  for (std::size_t n = 0; (n = co_await plain.b.read(buffer)) != 0;) hello.append(buffer.data(), n);
  CHECK_FALSE(hello.empty());
  co_await plain.b.close();
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("what a client wrote arrives, though it closes without having read anything") {
  for (int i = 0; i < 20; ++i) {
    auto ends = co_await tls_pair();
    const auto send = [](stream& to) -> task<> {
      co_await to.write(std::string(3 << 20, 'x'));
      co_await to.close();
    };
    auto both = co_await when_all(read_all(ends.server), send(ends.client));
    CHECK(std::get<0>(both).size() == 3 << 20);
  }
}

LOOP_TEST("close does not wait for a peer that takes nothing") {
  auto ends = co_await tls_pair();
  const auto write_much = [](stream& to) -> task<> {
    co_await to.write(std::string(16 << 20, 'x'));
  };
  auto writing = spawn(code_of(write_much(ends.client)));
  co_await try_for(10ms, writing.wait());
  writing.cancel();
  co_await writing.wait();
  const auto begin = std::chrono::steady_clock::now();
  co_await ends.client.close();  // a second for the rest and the farewell
  CHECK(std::chrono::steady_clock::now() - begin < at_most(10s));
}
