// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/stream_socket.hpp>

#include <sys/ioctl.h>

#include <array>
#include <chrono>
#include <span>
#include <string>
#include <vector>

#include "streams/conformance.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::const_buffer;
using rondo::task;

// What holds for every stream is tested in tests/streams/conformance.cpp, and what is TCP's own in
// tests/net/tcp.cpp.

namespace {
int waiting_bytes(const rondo::unix_stream& in) {
  int count = 0;
  ::ioctl(in.native_handle(), FIONREAD, &count);
  return count;
}
}  // namespace

LOOP_TEST("several buffers are written one after the other, whatever holds them") {
  tcp_ends ends = co_await tcp_pair();
  const std::string name = "name";
  const const_buffer array[] = {"hello, ", name, "", "!"};
  const std::vector<const_buffer> vector(array, array + 4);
  co_await ends.a.write(array);
  co_await ends.a.write(vector);
  co_await ends.a.write(std::span<const const_buffer>(array, 2));
  auto given_away = ends.a.write(std::vector<const_buffer>(array, array + 4));
  auto moved = std::move(given_away);
  co_await std::move(moved);
  co_await ends.a.write(std::span<const const_buffer>());
  ends.a.shutdown_write();
  const std::string all = co_await read_to_end(ends.b);
  CHECK(all == "hello, name!hello, name!hello, namehello, name!");
}

LOOP_TEST("a thousand buffers, large and empty ones, arrive whole at a slow reader") {
  auto [a, b] = rondo::socket_pair();
  std::string sent;
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < 1000; ++i) pieces.push_back(pattern(i % 7 == 0 ? 0 : i * 5, i));
  for (const std::string& piece : pieces) sent += piece;
  const std::vector<const_buffer> parts(pieces.begin(), pieces.end());
  const auto write = [](rondo::unix_stream& to, const std::vector<const_buffer>& all) -> task<> {
    co_await to.write(all);
    to.shutdown_write();
  };
  const auto both = co_await rondo::when_all(read_to_end(b), write(a, parts));
  const bool same = std::get<0>(both) == sent;
  CHECK(same);
}

TEST_CASE("several buffers arrive whole in short pieces, late, and through full queues") {
  const auto carry = []() -> task<> {
    auto [a, b] = rondo::socket_pair();
    const std::string text = pattern(100'000);
    std::vector<const_buffer> parts;
    for (std::size_t at = 0; at < text.size(); at += 1000) parts.emplace_back(text.data() + at, 1000);
    const auto write = [](rondo::unix_stream& to, std::vector<const_buffer>& all) -> task<> {
      co_await to.write(all);
      to.shutdown_write();
    };
    const auto both = co_await rondo::when_all(read_to_end(b), write(a, parts));
    const bool same = std::get<0>(both) == text;
    CHECK(same);
  };
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    auto faults = rondo::testing::faults(seed).short_transfers(50).late_completions(20).full_queues(20);
    rondo::run(carry(), faults.options());
  }
}

LOOP_TEST("writing several buffers is canceled in flight, is refused, fails, and allocates nothing") {
  auto [a, b] = rondo::socket_pair();
  const std::string big(4 << 20, 'x');
  const const_buffer parts[] = {big, big};
  const std::error_code late = co_await code_of(rondo::with_timeout(10ms, a.write(parts)));
  CHECK(late == std::errc::timed_out);
  auto refused = rondo::spawn(code_of(a.write(parts)));
  refused.cancel();
  const std::error_code code = co_await refused;
  CHECK(code == rondo::errc::canceled);
  b = rondo::unix_stream();
  const std::error_code broken = co_await code_of(a.write(parts));
  const bool lost = broken == std::errc::broken_pipe || broken == std::errc::connection_reset;
  CHECK(lost);

  auto [c, d] = rondo::socket_pair();
  const const_buffer small[] = {"ab", "cd"};
  const auto rounds = [](rondo::unix_stream& to, rondo::unix_stream& from,
                         std::span<const const_buffer> all, int count) -> task<> {
    std::array<char, 4> space;
    for (int i = 0; i < count; ++i) {
      co_await to.write(all);
      co_await from.read_exactly(space);
    }
  };
  co_await rounds(c, d, small, 10);
  auto many = rounds(c, d, small, 1000);
  const auto before = rondo_test::allocations();
  co_await std::move(many);
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}

LOOP_TEST("a write that was under way when its stream was closed does not go on with the number") {
  const std::string big(8 << 20, 'x');
  int closed = 0;
  for (int turns = 0; turns < 10; ++turns) {
    auto [a, b] = rondo::socket_pair();
    auto writing = rondo::spawn(code_of(a.write(big)));
    auto reading = rondo::spawn(code_of(read_to_end(b)));  // so that it makes progress
    for (int i = 0; i < turns; ++i) co_await round_trip();
    const int number = a.native_handle();
    co_await a.close();
    auto [c, d] = rondo::socket_pair();  // one of them has the number now
    const bool reused = c.native_handle() == number || d.native_handle() == number;
    CHECK(reused);
    const std::error_code code = co_await writing;
    if (code) CHECK(code == rondo::errc::closed);  // or everything had gone
    closed += code ? 1 : 0;
    co_await reading;
    CHECK(waiting_bytes(c) + waiting_bytes(d) == 0);
  }
  CHECK(closed > 0);
}

LOOP_TEST("buffers of the kernel are as large as they are asked to be, doubled") {
  tcp_ends ends = co_await tcp_pair();
  ends.a.set_send_buffer(50'000);
  ends.a.set_receive_buffer(60'000);
  CHECK(ends.a.get_option<int>(SOL_SOCKET, SO_SNDBUF) == 100'000);
  CHECK(ends.a.get_option<int>(SOL_SOCKET, SO_RCVBUF) == 120'000);
  CHECK(ends.a.get_option<int>(SOL_SOCKET, SO_KEEPALIVE) == 0);
  ends.a.set_keep_alive(true);
  CHECK(ends.a.get_option<int>(SOL_SOCKET, SO_KEEPALIVE) == 1);
  const rondo::tcp_stream none;
  CHECK_THROWS_AS(none.get_option<int>(SOL_SOCKET, SO_KEEPALIVE), std::system_error);
}
