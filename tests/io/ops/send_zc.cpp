// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/send_zc.hpp>

#include <unistd.h>

#include <string>

#include "io/operations.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"

using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

namespace {

task<> send_everything(int fd, const std::string& text) {
  std::size_t done = 0;
  while (done < text.size()) done += co_await io::send_zc(fd, std::string_view(text).substr(done));
}

/// Two TCP sockets with small buffers, which do not grow.
task<tcp_ends> small_pair() {
  tcp_ends ends = co_await tcp_pair();
  const int size = 4096;
  ::setsockopt(ends.a.native_handle(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  ::setsockopt(ends.b.native_handle(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  co_return ends;
}
/// Until sending would wait.
void clog(int fd) {
  const std::string block(65536, 'x');
  // Twice in vain: a TCP connection makes room once more when its peer's kernel has taken some.
  for (int in_vain = 0; in_vain < 3;) {
    bool some = false;
    while (::send(fd, block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) some = true;
    while (::send(fd, block.data(), 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) some = true;
    in_vain = some ? 0 : in_vain + 1;
    ::usleep(20'000);
  }
}

}  // namespace

LOOP_TEST("what is sent without a copy arrives, and gives how much went") {
  tcp_ends ends = co_await tcp_pair();
  const std::size_t n = co_await io::send_zc(ends.a.native_handle(), "hello");
  CHECK(n == 5);
  const std::size_t given_away =
      co_await io::send_zc(ends.a.native_handle(), std::string(10'000, 'x'));
  CHECK(given_away == 10'000);
  std::string received(10'005, '\0');
  co_await ends.b.read_exactly(received);
  CHECK(received == "hello" + std::string(10'000, 'x'));
}

LOOP_TEST("a megabyte is sent without a copy to a peer that reads slowly") {
  tcp_ends ends = co_await small_pair();
  std::string text;
  for (int i = 0; i < 1'000'000; ++i) text += static_cast<char>(i % 251);
  std::string received(text.size(), '\0');
  co_await rondo::when_all(send_everything(ends.a.native_handle(), text),
                           ends.b.read_exactly(received));
  const bool same = received == text;
  CHECK(same);
}

LOOP_TEST("a send_zc that waits for room is canceled, and sent nothing") {
  tcp_ends ends = co_await small_pair();
  clog(ends.a.native_handle());
  const std::error_code code =
      co_await canceled_in_flight(io::send_zc(ends.a.native_handle(), "late"));
  CHECK(code == rondo::errc::canceled);
}

LOOP_TEST("a send_zc that is canceled whenever it may be gives how much went, or nothing went") {
  tcp_ends ends = co_await tcp_pair();
  const int from = ends.a.native_handle();
  std::size_t sent = 0;
  std::size_t received = 0;
  for (int i = 0; i < 200; ++i) {
    auto sending = rondo::spawn([](int fd) -> task<std::size_t> {
      co_return co_await io::send_zc(fd, "some bytes");
    }, from);
    for (int turn = 0; turn < i % 4; ++turn) co_await rondo::yield();
    sending.cancel();
    try {
      sent += co_await sending;
    } catch (const rondo::operation_canceled&) {
    }
  }
  ends.a = rondo::tcp_stream();
  for (;;) {
    std::string bytes(4096, '\0');
    const std::size_t n = co_await ends.b.read(bytes);
    if (n == 0) break;
    received += n;
  }
  CHECK(sent > 0);
  CHECK(received == sent);
}

LOOP_TEST("a send_zc that somebody closes under ends as closed") {
  tcp_ends ends = co_await small_pair();
  clog(ends.a.native_handle());
  auto sending = rondo::spawn(code_of(io::send_zc(ends.a.native_handle(), "late")));
  co_await round_trip();
  co_await ends.a.close();
  const std::error_code code = co_await sending;
  CHECK(code == rondo::errc::closed);
}

LOOP_TEST("send_zc on a socket that does not know it, or whose peer has gone, is an error") {
  const sockets pair;
  const std::string unknown = co_await words_of(io::send_zc(pair.a.native_handle(), "x"));
  CHECK(unknown == "send: " + std::system_category().message(EOPNOTSUPP));
  tcp_ends ends = co_await tcp_pair();
  co_await io::shutdown(ends.a.native_handle(), SHUT_WR);
  const std::error_code broken = co_await code_of(io::send_zc(ends.a.native_handle(), "x"));
  CHECK(broken == std::errc::broken_pipe);
}

LOOP_TEST("send_zc allocates nothing") {
  tcp_ends ends = co_await tcp_pair();
  char bytes[5];
  for (int i = 0; i < 5; ++i) {
    co_await io::send_zc(ends.a.native_handle(), "hello");
    co_await ends.b.read_exactly(bytes);
  }
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 50; ++i) {
    co_await io::send_zc(ends.a.native_handle(), "hello");
    co_await io::recv(ends.b.native_handle(), bytes);
  }
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}
