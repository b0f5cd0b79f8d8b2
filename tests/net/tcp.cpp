// SPDX-License-Identifier: BSL-1.0

#include <poll.h>
#include <rondo/net/tcp.hpp>

#include <netinet/tcp.h>
#include <sys/resource.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/peers.hpp"
#include "streams/conformance.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::endpoint;
using rondo::task;
using rondo::tcp_listener;
using rondo::tcp_stream;

namespace {

task<> echo_to_the_end(tcp_stream& peer) {
  std::array<char, 4096> buffer;
  for (;;) {
    const std::size_t n = co_await peer.read(buffer);
    if (n == 0) break;
    co_await peer.write(std::string_view(buffer.data(), n));
  }
  peer.shutdown_write();
}
task<> echo_owned(tcp_stream peer) { co_await echo_to_the_end(peer); }

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  REQUIRE(::getsockopt(fd, level, name, &value, &length) == 0);
  return value;
}

}  // namespace

// Talking

LOOP_TEST("what is written at one end is read at the other, and echoed") {
  tcp_ends ends = co_await tcp_pair();
  const auto talk = [](tcp_stream& s) -> task<std::string> {
    co_await s.write("hello");
    co_await s.write(std::string(", given away"));
    const std::string mine = "!";
    co_await s.write(mine);
    s.shutdown_write();
    co_return co_await read_to_end(s);
  };
  const auto both = co_await rondo::when_all(talk(ends.a), echo_to_the_end(ends.b));
  CHECK(std::get<0>(both) == "hello, given away!");
}

LOOP_TEST("read gives at least one byte, and 0 at the end, again and again") {
  tcp_ends ends = co_await tcp_pair();
  std::array<char, 100> bytes;
  co_await ends.a.write("abc");
  const std::size_t some = co_await ends.b.read(bytes);
  CHECK(std::string(bytes.data(), some) == "abc");
  ends.a.shutdown_write();
  const std::size_t end = co_await ends.b.read(bytes);
  const std::size_t again = co_await ends.b.read(bytes);
  CHECK(end == 0);
  CHECK(again == 0);
}

LOOP_TEST("after shutdown_write the other direction goes on") {
  tcp_ends ends = co_await tcp_pair();
  ends.a.shutdown_write();
  std::array<char, 10> bytes;
  const std::size_t end = co_await ends.b.read(bytes);
  CHECK(end == 0);
  co_await ends.b.write("still here");
  ends.b.shutdown_write();
  const std::string all = co_await read_to_end(ends.a);
  CHECK(all == "still here");
  const std::error_code code = co_await code_of(ends.a.write("x"));
  CHECK(code == std::errc::broken_pipe);
}

LOOP_TEST("shutdown_write may be awaited, as that of other streams is") {
  tcp_ends ends = co_await tcp_pair();
  co_await ends.a.shutdown_write();
  const std::string all = co_await read_to_end(ends.b);
  CHECK(all.empty());
}

LOOP_TEST("shutdown_write of a connection that the peer has reset is no error") {
  tcp_ends ends = co_await tcp_pair();
  reset(ends.b);
  std::array<char, 10> bytes;
  const std::error_code code = co_await code_of(ends.a.read(bytes));
  CHECK(code == std::errc::connection_reset);
  ends.a.shutdown_write();
}

LOOP_TEST("a peer that sends one byte at a time is read whole") {
  tcp_ends ends = co_await tcp_pair();
  const std::string sent = pattern(2000, 1);
  const auto drip = [](tcp_stream& s, const std::string& text) -> task<> {
    for (const char& c : text) co_await s.write(rondo::const_buffer(&c, 1));
  };
  std::string received(sent.size(), '\0');
  co_await rondo::when_all(drip(ends.a, sent), ends.b.read_exactly(received));
  CHECK(received == sent);
}

LOOP_TEST("a mebibyte goes each way at the same time over one connection") {
  tcp_ends ends = co_await tcp_pair();
  const std::string first = pattern(1 << 20, 1);
  const std::string second = pattern(1 << 20, 2);
  std::string at_a(first.size(), '\0');
  std::string at_b(first.size(), '\0');
  co_await rondo::when_all(ends.a.write(first), ends.b.write(second), ends.a.read_exactly(at_a),
                           ends.b.read_exactly(at_b));
  const bool right = at_b == first && at_a == second;
  CHECK(right);
}

LOOP_TEST("16 MiB to a reader that is in no hurry arrive whole") {
  tcp_ends ends = co_await tcp_pair();
  const std::string sent = pattern(16 << 20, 3);
  const auto slow = [](tcp_stream& s, std::size_t size) -> task<std::string> {
    std::string all(size, '\0');
    std::size_t done = 0;
    while (done < size) {
      done += co_await s.read(
          rondo::mutable_buffer(all.data() + done, std::min<std::size_t>(100'000, size - done)));
      co_await rondo::yield();
    }
    co_return all;
  };
  const auto both = co_await rondo::when_all(slow(ends.b, sent.size()), ends.a.write(sent));
  const bool right = std::get<0>(both) == sent;
  CHECK(right);
}

LOOP_TEST("write_some gives how much has gone") {
  tcp_ends ends = co_await tcp_pair();
  const std::size_t n = co_await ends.a.write_some("abc");
  CHECK(n == 3);
  std::string received(3, '\0');
  co_await ends.b.read_exactly(received);
  CHECK(received == "abc");
}

LOOP_TEST("reading exactly nothing and writing nothing need no peer") {
  tcp_ends ends = co_await tcp_pair();
  co_await ends.a.write("");
  const std::error_code code =
      co_await code_of(rondo::with_timeout(1s, ends.a.read_exactly(rondo::mutable_buffer())));
  CHECK(code == std::error_code());
}

LOOP_TEST("read_exactly says how much came before the end") {
  tcp_ends ends = co_await tcp_pair();
  co_await ends.a.write("abc");
  ends.a.shutdown_write();
  std::string space(10, '\0');
  try {
    co_await ends.b.read_exactly(space);
    FAIL("more came than was sent");
  } catch (const rondo::unexpected_eof& e) {
    CHECK(e.received() == 3);
    CHECK(e.code() == rondo::errc::unexpected_eof);
  }
  CHECK(space.substr(0, 3) == "abc");
}

// Errors

LOOP_TEST("a reset ends reading and writing with an error that names the operation") {
  tcp_ends ends = co_await tcp_pair();
  std::array<char, 10> bytes;
  auto reading = rondo::spawn(words_of(ends.a.read(bytes)));
  co_await round_trip();
  reset(ends.b);
  const std::string read = co_await reading;
  CHECK(read == "recv: " + std::system_category().message(ECONNRESET));
  const std::string written = co_await words_of(ends.a.write("x"));
  CHECK(written == "send: " + std::system_category().message(EPIPE));
}

LOOP_TEST("a reset in the middle of a long write ends it") {
  tcp_ends ends = co_await tcp_pair();
  auto writing = rondo::spawn(code_of(ends.a.write(std::string(std::size_t{64} << 20, 'x'))));
  std::array<char, 1000> bytes;
  co_await ends.b.read(bytes);
  CHECK_FALSE(writing.done());
  reset(ends.b);
  const std::error_code code = co_await writing;
  // The kernel tells about the reset once, and it may have told a part of the write.
  const bool ended = code == std::errc::connection_reset || code == std::errc::broken_pipe;
  CHECK(ended);
}

LOOP_TEST("a connection to where nobody listens is refused, and the error names the endpoint") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const endpoint nobody = listener.local_endpoint();
  co_await listener.close();
  const std::string words = co_await words_of(tcp_stream::connect(nobody));
  CHECK(words ==
        "connect to " + to_string(nobody) + ": " + std::system_category().message(ECONNREFUSED));
}

LOOP_TEST("a socket that is no socket, or is not connected, has no endpoints") {
  tcp_stream none;
  CHECK_FALSE(none);
  CHECK_THROWS_AS(none.local_endpoint(), std::system_error);
  CHECK_THROWS_AS(none.remote_endpoint(), std::system_error);
  std::array<char, 10> bytes;
  const std::error_code code = co_await code_of(none.read(bytes));
  CHECK(code == std::errc::bad_file_descriptor);
  tcp_stream unconnected = tcp_stream::adopt(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  try {
    static_cast<void>(unconnected.remote_endpoint());
    FAIL("it has a peer");
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::not_connected);
    CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring("getpeername: "));
  }
}

TEST_CASE("a port in use is an error that names the endpoint, unless both listeners share it") {
  tcp_listener first = tcp_listener::bind(endpoint::loopback(0));
  const endpoint at = first.local_endpoint();
  try {
    static_cast<void>(tcp_listener::bind(at));
    FAIL("the port was taken twice");
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::address_in_use);
    CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring(to_string(at)));
  }
  tcp_listener shared = tcp_listener::bind(endpoint::loopback(0), {.reuse_port = true});
  tcp_listener other = tcp_listener::bind(shared.local_endpoint(), {.reuse_port = true});
  CHECK(other.local_endpoint() == shared.local_endpoint());
}

TEST_CASE("an address that this machine does not have is an error that names the endpoint") {
  const endpoint foreign("192.0.2.7", 80);
  try {
    static_cast<void>(tcp_listener::bind(foreign));
    FAIL("bound to an address of the documentation");
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::address_not_available);
    CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring("192.0.2.7:80"));
  }
}

LOOP_TEST("a listener that was closed can be bound again at once") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const endpoint at = listener.local_endpoint();
  auto ends = co_await rondo::when_all(listener.accept(), tcp_stream::connect(at));
  co_await std::get<0>(ends).close();  // this end waits in TIME_WAIT
  co_await std::get<1>(ends).close();
  co_await listener.close();
  listener = tcp_listener::bind(at);
  CHECK(listener.local_endpoint() == at);
}

// Options and ends

LOOP_TEST("both ends send at once, unless told not to") {
  tcp_ends ends = co_await tcp_pair();
  CHECK(option(ends.a.native_handle(), IPPROTO_TCP, TCP_NODELAY) != 0);
  CHECK(option(ends.b.native_handle(), IPPROTO_TCP, TCP_NODELAY) != 0);
  ends.a.set_option(SOL_SOCKET, SO_KEEPALIVE, true);
  CHECK(ends.a.get_option<int>(SOL_SOCKET, SO_KEEPALIVE) == 1);
  ends.a.set_no_delay(false);
  CHECK(option(ends.a.native_handle(), IPPROTO_TCP, TCP_NODELAY) == 0);
  ends.a.set_no_delay(true);
  CHECK(option(ends.a.native_handle(), IPPROTO_TCP, TCP_NODELAY) != 0);
}

LOOP_TEST("sockets close on exec") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const auto ends =
      co_await rondo::when_all(listener.accept(), tcp_stream::connect(listener.local_endpoint()));
  for (const int fd : {listener.native_handle(), std::get<0>(ends).native_handle(),
                       std::get<1>(ends).native_handle()}) {
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
}

LOOP_TEST("both ends know both ends") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  CHECK(listener.local_endpoint().address() == "127.0.0.1");
  CHECK(listener.local_endpoint().port() != 0);
  const auto ends =
      co_await rondo::when_all(listener.accept(), tcp_stream::connect(listener.local_endpoint()));
  const tcp_stream& server = std::get<0>(ends);
  const tcp_stream& client = std::get<1>(ends);
  CHECK(client.remote_endpoint() == listener.local_endpoint());
  CHECK(server.local_endpoint() == listener.local_endpoint());
  CHECK(server.remote_endpoint() == client.local_endpoint());
}

namespace {
task<> talk_over_v6() {
  tcp_listener listener = tcp_listener::bind(endpoint("::1", 0));
  auto ends =
      co_await rondo::when_all(listener.accept(), tcp_stream::connect(listener.local_endpoint()));
  CHECK(std::get<1>(ends).remote_endpoint().is_v6());
  co_await std::get<0>(ends).write("over IPv6");
  std::string received(9, '\0');
  co_await std::get<1>(ends).read_exactly(received);
  CHECK(received == "over IPv6");
}
}  // namespace

TEST_CASE("IPv6 is like IPv4") {
  const rondo::descriptor probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const endpoint any("::1", 0);
  if (!probe || ::bind(probe.native_handle(), any.native(), any.native_size()) != 0) {
    SKIP("needs IPv6");
  }
  rondo::run(talk_over_v6());
}

// Owning

LOOP_TEST("streams and listeners are moved, adopted and released") {
  const auto before = rondo_test::open_descriptors();
  {
    tcp_ends ends = co_await tcp_pair();
    tcp_stream moved(std::move(ends.a));
    CHECK_FALSE(ends.a);
    const int fd = moved.release();
    CHECK_FALSE(moved);
    tcp_stream adopted = tcp_stream::adopt(fd);
    co_await adopted.write("x");
    std::array<char, 10> bytes;
    const std::size_t n = co_await ends.b.read(bytes);
    CHECK(n == 1);
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    tcp_listener again = tcp_listener::adopt(listener.release());
    CHECK(again.local_endpoint().port() != 0);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("close ends what is in flight on the stream, and the peer reads the end") {
  tcp_ends ends = co_await tcp_pair();
  std::array<char, 10> bytes;
  auto reading = rondo::spawn(code_of(ends.a.read(bytes)));
  co_await round_trip();
  co_await ends.a.close();
  const std::error_code code = co_await reading;
  CHECK(code == rondo::errc::closed);
  const std::size_t end = co_await ends.b.read(bytes);
  CHECK(end == 0);
}

LOOP_TEST("close of a listener ends who waits for a connection") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  auto accepting = rondo::spawn(code_of(listener.accept()));
  co_await round_trip();
  co_await listener.close();
  const std::error_code code = co_await accepting;
  CHECK(code == rondo::errc::closed);
}

LOOP_TEST("a stream that is dropped tells the peer") {
  tcp_ends ends = co_await tcp_pair();
  ends.a = tcp_stream();
  std::array<char, 10> bytes;
  const std::size_t end = co_await ends.b.read(bytes);
  CHECK(end == 0);
}

// Cancellation

LOOP_TEST("every operation of a stream is canceled in flight, and the stream works afterwards") {
  const auto before = rondo_test::open_descriptors();
  {
    tcp_ends ends = co_await tcp_pair();
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    std::string space(10, '\0');
    const std::error_code read = co_await code_of(rondo::with_timeout(1ms, ends.a.read(space)));
    const std::error_code exactly =
        co_await code_of(rondo::with_timeout(1ms, ends.a.read_exactly(space)));
    const std::error_code accepted = co_await code_of(rondo::with_timeout(1ms, listener.accept()));
    CHECK(read == std::errc::timed_out);
    CHECK(exactly == std::errc::timed_out);
    CHECK(accepted == std::errc::timed_out);
    co_await ends.b.write("still here");
    co_await ends.a.read_exactly(space);
    CHECK(space == "still here");
    const std::error_code written = co_await code_of(
        rondo::with_timeout(20ms, ends.a.write(std::string(std::size_t{64} << 20, 'x'))));
    CHECK(written == std::errc::timed_out);
    ends.a.shutdown_write();
    const std::string arrived = co_await read_to_end(ends.b);
    CHECK(arrived == std::string(arrived.size(), 'x'));
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("every operation of a stream in a canceled scope is refused") {
  tcp_ends ends = co_await tcp_pair();
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const auto before = rondo_test::open_descriptors();
  std::string space(10, '\0');
  const auto refused = [](auto operation) -> task<bool> {
    auto running = rondo::spawn(code_of(std::move(operation)));
    running.cancel();
    const std::error_code code = co_await running;
    co_return code == rondo::errc::canceled;
  };
  const auto all = co_await rondo::when_all(
      refused(ends.a.read(space)), refused(ends.a.read_exactly(space)), refused(ends.a.write("x")),
      refused(ends.a.write_some("x")), refused(listener.accept()),
      refused(tcp_stream::connect(listener.local_endpoint())));
  std::apply([](auto... each) { CHECK((each && ...)); }, all);
  CHECK(rondo_test::open_descriptors() == before);
  const std::error_code nothing_sent =
      co_await code_of(rondo::with_timeout(1ms, ends.b.read(space)));
  CHECK(nothing_sent == std::errc::timed_out);
  const std::error_code nobody_came = co_await code_of(rondo::with_timeout(1ms, listener.accept()));
  CHECK(nobody_came == std::errc::timed_out);
}

LOOP_TEST("operations that are made and dropped open nothing") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const auto before = rondo_test::open_descriptors();
  static_cast<void>(tcp_stream::connect(listener.local_endpoint()));
  static_cast<void>(listener.accept());
  co_await round_trip();
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("a connect that is canceled at any moment leaves nothing open") {
  const auto before = rondo_test::open_descriptors();
  int connected = 0;
  {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    for (int turns = 0; turns < 8; ++turns) {
      auto connecting = rondo::spawn(
          [](endpoint at) -> task<tcp_stream> { co_return co_await tcp_stream::connect(at); },
          listener.local_endpoint());
      for (int i = 0; i < turns; ++i) co_await rondo::yield();
      connecting.cancel();
      try {
        const tcp_stream s = co_await connecting;
        connected += s ? 1 : 0;
      } catch (const rondo::operation_canceled&) {
      }
    }
  }
  CHECK(connected > 0);
  CHECK(rondo_test::open_descriptors() == before);
}

// Many

LOOP_TEST("a thousand connections at once are served, and leave nothing open") {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  constexpr int count = 1000;
  const auto before = rondo_test::open_descriptors();
  std::size_t during = 0;
  {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    int open = 0;
    const auto serve = [](tcp_listener& l) -> task<> {
      std::vector<rondo::join_handle<>> peers;
      for (int i = 0; i < count; ++i) {
        tcp_stream peer = co_await l.accept();
        peers.push_back(rondo::spawn(echo_owned(std::move(peer))));
      }
      for (auto& p : peers) co_await p;
    };
    const auto client = [](endpoint at, int number, int& connected,
                           std::size_t& most) -> task<bool> {
      tcp_stream s = co_await tcp_stream::connect(at);
      if (++connected == count) most = rondo_test::open_descriptors();
      while (connected < count) co_await rondo::sleep_for(1ms);  // all at once
      const std::string message = "message " + std::to_string(number);
      co_await s.write(message);
      std::string answer(message.size(), '\0');
      co_await s.read_exactly(answer);
      co_return answer == message;
    };
    std::vector<task<bool>> clients;
    for (int i = 0; i < count; ++i) {
      clients.push_back(client(listener.local_endpoint(), i, open, during));
    }
    const auto both =
        co_await rondo::when_all(rondo::when_all(std::move(clients)), serve(listener));
    CHECK(std::get<0>(both) == std::vector<bool>(count, true));
  }
  CHECK(during >= before + count);
  CHECK(rondo_test::open_descriptors() == before);
}

// Costs

namespace {

task<> ping(tcp_stream& s, int messages) {
  std::array<char, 64> buffer{};
  for (int i = 0; i < messages; ++i) {
    co_await s.write(buffer);
    co_await s.read_exactly(buffer);
  }
}
task<> pong(tcp_stream& s, int messages) {
  std::array<char, 64> buffer;
  for (int i = 0; i < messages; ++i) {
    co_await s.read_exactly(buffer);
    co_await s.write(buffer);
  }
}
task<> one_message(tcp_stream& s) { co_await ping(s, 1); }
task<> ping_by_children(tcp_stream& s, int messages) {
  for (int i = 0; i < messages; ++i) co_await one_message(s);
}

}  // namespace

LOOP_TEST("ten thousand messages there and back allocate nothing") {
  tcp_ends ends = co_await tcp_pair();
  co_await rondo::when_all(ping(ends.a, 10), pong(ends.b, 10));
  auto both = rondo::when_all(ping(ends.a, 10'000), pong(ends.b, 10'000));
  const auto before = rondo_test::allocations();
  co_await std::move(both);
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}

LOOP_TEST("an awaited child costs one frame, and with the pool none") {
  constexpr std::size_t messages = 1000;
  tcp_ends ends = co_await tcp_pair();
  const auto count = static_cast<int>(messages);
  co_await rondo::when_all(ping_by_children(ends.a, 10), pong(ends.b, 10));
  auto both = rondo::when_all(ping_by_children(ends.a, count), pong(ends.b, count));
  const auto before = rondo_test::allocations();
  co_await std::move(both);
  const auto during = rondo_test::allocations() - before;
  if constexpr (RONDO_FRAME_POOL != 0) {
    CHECK(during == 0);
  } else {
    CHECK(during <= 2 * messages);  // one_message, and the ping inside
  }
}

LOOP_TEST("an urgent byte that has come is received, whatever was received before") {
  tcp_ends ends = co_await tcp_pair();
  std::array<char, 64> space;
  for (int i = 0; i < 3; ++i) {
    const auto got = co_await rondo::when_all(ends.b.read(space), ends.a.write("abc"));
    CHECK(std::get<0>(got) == 3);
  }
  co_await rondo::io::send(ends.a.native_handle(), "!", MSG_OOB);
  pollfd urgent{ends.b.native_handle(), POLLPRI, 0};
  co_await until([&] { return ::poll(&urgent, 1, 0) == 1; });
  const std::size_t n =
      co_await rondo::io::recv(ends.b.native_handle(), rondo::mutable_buffer(space), MSG_OOB);
  CHECK(n == 1);
  CHECK(space[0] == '!');
}
