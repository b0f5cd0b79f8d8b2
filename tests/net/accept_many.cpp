// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/accept_many.hpp>

#include <netinet/tcp.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <rondo/net/tcp.hpp>
#include <rondo/testing.hpp>
#include <string>
#include <utility>
#include <vector>

#include "net/peers.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

using peer_stream = decltype(std::declval<tcp_listener&>().accept_many());

/// Peers by plain calls, which the kernel connects without the server's doing.
std::vector<descriptor> connect_many(const endpoint& at, int count) {
  std::vector<descriptor> all;
  for (int i = 0; i < count; ++i) {
    all.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(all.back().native_handle(), at.native(), at.native_size()) == 0);
  }
  return all;
}

}  // namespace

LOOP_TEST("every peer that connects is given, in the order in which they came") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  auto peers = listener.accept_many();
  for (int round = 0; round < 3; ++round) {
    const auto clients = connect_many(listener.local_endpoint(), 10);
    for (const descriptor& client : clients) {
      auto peer = co_await peers.next();
      REQUIRE(peer.has_value());
      REQUIRE(::send(client.native_handle(), "x", 1, 0) == 1);
      std::array<char, 8> bytes;
      const std::size_t n = co_await peer->read(bytes);
      CHECK(n == 1);
      CHECK((::fcntl(peer->native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    }
  }
}

LOOP_TEST("a server that falls behind accepts no more than about 64 ahead, and loses nobody") {
  const auto before = rondo_test::open_descriptors();
  {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    auto peers = listener.accept_many();
    std::vector<descriptor> clients = connect_many(listener.local_endpoint(), 1);
    std::vector<tcp_stream> accepted;
    auto first = co_await peers.next();
    accepted.push_back(std::move(*first));
    // Few enough at a time for the loop to see the mark.
    for (int i = 0; i < 30; ++i) {
      for (auto& c : connect_many(listener.local_endpoint(), 10)) clients.push_back(std::move(c));
      for (int turn = 0; turn < 10; ++turn) co_await round_trip();
    }
    const std::size_t mine = 1 + clients.size() + 1;
    const std::size_t ahead = rondo_test::open_descriptors() - before - mine;
    CHECK(ahead >= 64);
    CHECK(ahead <= 84);
    while (accepted.size() < 301) {
      auto peer = co_await with_timeout(1s, peers.next());
      accepted.push_back(std::move(*peer));
    }
    const auto more = co_await try_for(2ms, peers.next());
    CHECK_FALSE(more.has_value());
    for (tcp_stream& a : accepted) co_await a.write("x");
    for (const descriptor& c : clients) {
      char byte = 0;
      REQUIRE(::recv(c.native_handle(), &byte, 1, 0) == 1);
    }
  }
  co_await round_trip();
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("four hundred peers that come in one burst are all given") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0), {.backlog = 1000});
  auto peers = listener.accept_many();
  const auto clients = connect_many(listener.local_endpoint(), 400);
  std::vector<tcp_stream> accepted;
  while (accepted.size() < clients.size()) {
    auto peer = co_await with_timeout(1s, peers.next());
    accepted.push_back(std::move(*peer));
  }
  const auto more = co_await try_for(2ms, peers.next());
  CHECK_FALSE(more.has_value());
}

LOOP_TEST("a stream that is dropped closes the peers that nobody has taken, and those on their way") {
  const auto before = rondo_test::open_descriptors();
  {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    std::vector<descriptor> clients;
    for (int turns = 0; turns < 6; ++turns) {
      auto peers = listener.accept_many();
      for (auto& c : connect_many(listener.local_endpoint(), 5)) clients.push_back(std::move(c));
      if (turns != 0) {
        auto one = co_await peers.next();
        CHECK(one.has_value());
      }
      for (auto& c : connect_many(listener.local_endpoint(), 5)) clients.push_back(std::move(c));
      for (int i = 1; i < turns; ++i) co_await round_trip();
    }
    for (int i = 0; i < 3; ++i) co_await round_trip();
    // What the first stream has not even asked for was taken by the others.
    CHECK(rondo_test::open_descriptors() == before + clients.size() + 1);
  }
  co_await round_trip();
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("a listener that is closed ends its stream, and so does a listener that is none") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  auto peers = listener.accept_many();
  auto waiting = spawn(next_code(peers));
  for (int i = 0; i < 10; ++i) co_await round_trip();
  co_await listener.close();
  const std::error_code closed = co_await waiting;
  CHECK(closed == errc::closed);
  tcp_listener none;
  auto no_peers = none.accept_many();
  const std::error_code bad = co_await next_code(no_peers);
  CHECK(bad == std::errc::bad_file_descriptor);
  const sockets pair;
  tcp_listener wrong = tcp_listener::adopt(pair.a.native_handle());
  auto wrong_peers = wrong.accept_many();
  const std::error_code invalid = co_await next_code(wrong_peers);
  CHECK(invalid == std::errc::invalid_argument);
  static_cast<void>(wrong.release());
}

LOOP_TEST("no room for a descriptor is told once, and then the stream waits for room") {
  const auto before = rondo_test::open_descriptors();
  {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    auto peers = listener.accept_many();
    auto clients = connect_many(listener.local_endpoint(), 3);
    std::vector<tcp_stream> accepted;
    std::error_code told;
    std::size_t never = 0;
    {
      const rondo_test::descriptor_limit tight(1);
      auto first = co_await peers.next();
      accepted.push_back(std::move(*first));
      told = co_await next_code(peers);
      // Canceled while it waits for room, it goes on waiting the next time.
      for (int i = 0; i < 3; ++i) {
        const auto none = co_await try_for(5ms, peers.next());
        never += none.has_value() ? 1 : 0;
      }
      const auto none = co_await try_for(50ms, peers.next());
      never += none.has_value() ? 1 : 0;
      accepted.clear();  // room for one
      auto second = co_await with_timeout(1s, peers.next());
      accepted.push_back(std::move(*second));
      const std::error_code again = co_await next_code(peers);  // there had been room meanwhile
      if (again != told) told = {};
    }
    CHECK(told == std::errc::too_many_files_open);
    CHECK(never == 0);
    auto third = co_await with_timeout(1s, peers.next());
    CHECK(third.has_value());
  }
  co_await round_trip();
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("a stream that waits for room is dropped, and closed, like any other") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const auto wait_for_room = [](tcp_listener& l, bool close) -> task<> {
    auto peers = l.accept_many();
    join_handle<std::error_code> waiting;
    {
      const rondo_test::descriptor_limit tight(0);
      static_cast<void>(co_await next_code(peers));
      waiting = spawn(next_code(peers));
      for (int i = 0; i < 10; ++i) co_await round_trip();
    }
    if (close) co_await peers.close();
    waiting.cancel();
    co_await waiting.wait();
  };
  co_await wait_for_room(listener, true);
  co_await wait_for_room(listener, false);
  CHECK(event_loop::current().stats().timers == 0);
}

ON_BOTH_RINGS("accepting survives errors that peers and the machine cause", {
  const auto before = rondo_test::open_descriptors();
  const auto accept_all = []() -> task<int> {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    auto peers = listener.accept_many();
    int errors = 0;
    std::vector<descriptor> clients;
    for (int i = 0; i < 10; ++i) {
      for (auto& c : connect_many(listener.local_endpoint(), 3)) clients.push_back(std::move(c));
      for (int accepted = 0; accepted < 3;) {
        const auto peer = co_await as_result(with_timeout(5s, peers.next()));
        if (!peer && peer.error() == std::errc::timed_out) throw std::runtime_error("lost");
        (peer ? accepted : errors) += 1;
      }
    }
    co_return errors;
  };
  int errors = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    testing::faults f(seed);
    f.errors(30).late_completions(20).short_transfers(50).refused_calls(10);
    errors += rondo::run(accept_all(), f.options());
  }
  CHECK(errors > 0);
  CHECK(rondo_test::open_descriptors() == before);
})

namespace {

task<> come_and_go(endpoint at, int count) {
  std::array<char, 16> bytes;
  for (int i = 0; i < count; ++i) {
    tcp_stream s = co_await tcp_stream::connect(at);
    co_await s.write("hello");
    co_await s.read_exactly(mutable_buffer(bytes.data(), 5));
    if (i % 3 == 0) s.set_option(SOL_SOCKET, SO_LINGER, linger{1, 0});  // a reset
    if (i % 3 == 1) co_await s.close();
  }
}
task<> answer(tcp_stream peer) {
  std::array<char, 16> bytes;
  for (;;) {
    const auto n = co_await as_result(peer.read(bytes));
    if (!n || *n == 0) co_return;
    co_await peer.write(std::string_view(bytes.data(), *n));
  }
}
task<> serve_so_many(tcp_listener& listener, int count) {
  auto peers = listener.accept_many();
  co_await with_task_group([](task_group& group, peer_stream& from, int left) -> task<> {
    while (left-- > 0) {
      auto peer = co_await from.next();
      group.spawn(answer(std::move(*peer)));
    }
  }, std::ref(peers), count);
}
task<> churn_of_peers(int count) {
  constexpr int clients = 50;
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  std::vector<task<>> all;
  for (int i = 0; i < clients; ++i) {
    all.push_back(come_and_go(listener.local_endpoint(), count / clients));
  }
  co_await when_all(serve_so_many(listener, count), when_all(std::move(all)));
}

}  // namespace

ON_BOTH_RINGS("ten thousand connections come, are used and go, and no descriptor stays", {
  const auto before = rondo_test::open_descriptors();
  rondo::run(churn_of_peers(10'000));
  CHECK(rondo_test::open_descriptors() == before);
})

TEST_CASE("accepting many allocates nothing for each of them") {
  if (!rondo_test::heap_is_counted()) SKIP("needs a counted heap");
  const auto count = []() -> task<std::size_t> {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    auto peers = listener.accept_many();
    std::size_t during = 0;
    for (int i = 0; i < 20; ++i) {
      const auto clients = connect_many(listener.local_endpoint(), 10);
      const auto before = rondo_test::allocations();
      for (int k = 0; k < 10; ++k) {
        auto peer = co_await peers.next();
        if (!peer) throw std::logic_error("the end");
      }
      if (i >= 10) during += rondo_test::allocations() - before;
    }
    co_return during;
  };
  CHECK(rondo::run(count()) == 0);
}
