// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/net.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>

#include <string>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"
#include "support/ring_here.hpp"

using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

namespace {

/// A listening socket whose queue is full: whoever connects now waits.
struct full_listener {
  rondo::descriptor listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  rondo::descriptor first{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  rondo::endpoint at = rondo::endpoint::loopback(0);
  full_listener() {
    sockaddr_storage name{};
    socklen_t length = sizeof name;
    auto* const address = reinterpret_cast<sockaddr*>(&name);
    if (::bind(listener.native_handle(), at.native(), at.native_size()) != 0 ||
        ::listen(listener.native_handle(), 0) != 0 ||
        ::getsockname(listener.native_handle(), address, &length) != 0) {
      throw std::system_error(errno, std::system_category(), "listener");
    }
    at = rondo::endpoint::from_native(address, length);
    if (::connect(first.native_handle(), at.native(), at.native_size()) != 0) {
      throw std::system_error(errno, std::system_category(), "connect");
    }
  }
};

}  // namespace

// socket, connect, accept

LOOP_TEST("socket makes a socket that closes on exec") {
  const rondo::descriptor s = co_await io::socket(AF_INET6, SOCK_DGRAM);
  int type = 0;
  socklen_t length = sizeof type;
  REQUIRE(::getsockopt(s.native_handle(), SOL_SOCKET, SO_TYPE, &type, &length) == 0);
  CHECK(type == SOCK_DGRAM);
  CHECK((::fcntl(s.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
}

LOOP_TEST("connect and accept meet") {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const rondo::endpoint at = listener.local_endpoint();
  const rondo::descriptor client = co_await io::socket(AF_INET, SOCK_STREAM);
  const auto ends =
      co_await rondo::when_all(io::connect(client.native_handle(), at.native(), at.native_size()),
                               io::accept(listener.native_handle()));
  const rondo::descriptor& server = std::get<1>(ends);
  CHECK((::fcntl(server.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
  co_await io::send(client.native_handle(), "hello");
  CHECK(waiting_in(server.native_handle()) == "hello");
}

LOOP_TEST("connect copies the address") {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const rondo::descriptor client = co_await io::socket(AF_INET, SOCK_STREAM);
  const auto make = [&] {
    const rondo::endpoint gone = listener.local_endpoint();
    return io::connect(client.native_handle(), gone.native(), gone.native_size());
  };
  co_await make();
  const rondo::descriptor server = co_await io::accept(listener.native_handle());
  CHECK(server);
}

LOOP_TEST("connect to where nobody listens is refused") {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const rondo::endpoint nobody = listener.local_endpoint();
  co_await listener.close();
  const rondo::descriptor client = co_await io::socket(AF_INET, SOCK_STREAM);
  const std::error_code code =
      co_await code_of(io::connect(client.native_handle(), nobody.native(), nobody.native_size()));
  CHECK(code == std::errc::connection_refused);
}

LOOP_TEST("a connect that is canceled in flight ends as canceled") {
  const full_listener full;
  const rondo::descriptor client = co_await io::socket(AF_INET, SOCK_STREAM);
  const std::error_code code = co_await canceled_in_flight(
      io::connect(client.native_handle(), full.at.native(), full.at.native_size()));
  CHECK(code == rondo::errc::canceled);
}

LOOP_TEST("an accept that is canceled in flight ends as canceled, and the listener goes on") {
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const rondo::endpoint at = listener.local_endpoint();
  const auto before = rondo_test::open_descriptors();
  const std::error_code code = co_await canceled_in_flight(io::accept(listener.native_handle()));
  CHECK(code == rondo::errc::canceled);
  CHECK(rondo_test::open_descriptors() == before);
  const rondo::descriptor client = co_await io::socket(AF_INET, SOCK_STREAM);
  co_await io::connect(client.native_handle(), at.native(), at.native_size());
  const rondo::descriptor server = co_await io::accept(listener.native_handle());
  CHECK(server);
}

LOOP_TEST("accept on a socket that does not listen is an error") {
  const sockets pair;
  const std::string words = co_await words_of(io::accept(pair.a.native_handle()));
  CHECK(words == "accept: " + std::system_category().message(EINVAL));
}

// recv, send

LOOP_TEST("recv gives what has come, and 0 at the end") {
  sockets pair;
  char bytes[10];
  co_await io::send(pair.b.native_handle(), "abc");
  const std::size_t peeked = co_await io::recv(pair.a.native_handle(), bytes, MSG_PEEK);
  CHECK(std::string(bytes, peeked) == "abc");
  const std::size_t n = co_await io::recv(pair.a.native_handle(), bytes);
  CHECK(n == 3);
  pair.b = rondo::descriptor();
  const std::size_t end = co_await io::recv(pair.a.native_handle(), bytes);
  CHECK(end == 0);
}

LOOP_TEST("a recv that is canceled in flight takes nothing that comes later") {
  sockets pair;
  char byte = 'o';
  const std::error_code code = co_await canceled_in_flight(
      io::recv(pair.a.native_handle(), rondo::mutable_buffer(&byte, 1)));
  CHECK(code == rondo::errc::canceled);
  REQUIRE(::send(pair.b.native_handle(), "x", 1, 0) == 1);
  co_await round_trip();
  CHECK(byte == 'o');
  CHECK(waiting_in(pair.a.native_handle()) == "x");
}

LOOP_TEST("send to a peer that has gone is an error and no signal") {
  sockets pair;
  pair.b = rondo::descriptor();
  const std::string words = co_await words_of(io::send(pair.a.native_handle(), "x"));
  CHECK(words == "send: " + std::system_category().message(EPIPE));
}

LOOP_TEST("send keeps an owner that is given away until the kernel has read it") {
  sockets pair;
  const std::string longer(5000, 'l');
  co_await io::send(pair.a.native_handle(), std::string("short"));
  co_await io::send(pair.a.native_handle(), std::string(longer));
  CHECK(waiting_in(pair.b.native_handle()) == "short" + longer);
}

LOOP_TEST("a send that is canceled while there is no room ends as canceled, and sent nothing") {
  sockets pair;
  const std::string block(4096, 'x');
  std::size_t filled = 0;
  while (::send(pair.a.native_handle(), block.data(), block.size(), MSG_DONTWAIT) > 0) ++filled;
  const std::error_code code =
      co_await canceled_in_flight(io::send(pair.a.native_handle(), "late"));
  CHECK(code == rondo::errc::canceled);
  std::size_t received = 0;
  for (std::string s; !(s = waiting_in(pair.b.native_handle())).empty();) received += s.size();
  CHECK(received == filled * block.size());
}

// recvmsg, sendmsg

LOOP_TEST("sendmsg and recvmsg carry several buffers and an address") {
  const rondo::descriptor a = co_await io::socket(AF_INET, SOCK_DGRAM);
  const rondo::descriptor b = co_await io::socket(AF_INET, SOCK_DGRAM);
  const rondo::endpoint any = rondo::endpoint::loopback(0);
  REQUIRE(::bind(a.native_handle(), any.native(), any.native_size()) == 0);
  sockaddr_in at{};
  socklen_t length = sizeof at;
  REQUIRE(::getsockname(a.native_handle(), reinterpret_cast<sockaddr*>(&at), &length) == 0);

  char hello[] = {'h', 'e', 'l', 'l', 'o'};
  char world[] = {'w', 'o', 'r', 'l', 'd'};
  iovec out[] = {{hello, sizeof hello}, {world, sizeof world}};
  msghdr message{};
  message.msg_name = &at;
  message.msg_namelen = sizeof at;
  message.msg_iov = out;
  message.msg_iovlen = 2;
  const std::size_t sent = co_await io::sendmsg(b.native_handle(), &message);
  CHECK(sent == 10);

  char first[7];
  char second[7];
  iovec in[] = {{first, sizeof first}, {second, sizeof second}};
  sockaddr_storage from{};
  msghdr answer{};
  answer.msg_name = &from;
  answer.msg_namelen = sizeof from;
  answer.msg_iov = in;
  answer.msg_iovlen = 2;
  const std::size_t received = co_await io::recvmsg(a.native_handle(), &answer);
  CHECK(received == 10);
  CHECK(std::string(first, 7) + std::string(second, 3) == "helloworld");
  CHECK(answer.msg_namelen == sizeof(sockaddr_in));
  CHECK(from.ss_family == AF_INET);
}

LOOP_TEST("recvmsg and sendmsg are canceled in flight") {
  const sockets pair;
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const std::error_code receiving =
      co_await canceled_in_flight(io::recvmsg(pair.a.native_handle(), &message));
  CHECK(receiving == rondo::errc::canceled);
  while (::send(pair.a.native_handle(), &byte, 1, MSG_DONTWAIT) > 0) {
  }
  const std::error_code sending =
      co_await canceled_in_flight(io::sendmsg(pair.a.native_handle(), &message));
  CHECK(sending == rondo::errc::canceled);
}

LOOP_TEST("sendmsg to a peer that has gone is an error and no signal") {
  sockets pair;
  pair.b = rondo::descriptor();
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const std::error_code code = co_await code_of(io::sendmsg(pair.a.native_handle(), &message));
  CHECK(code == std::errc::broken_pipe);
}

TEST_CASE("send and sendmsg raise no SIGPIPE, even where the loop does not ignore it") {
  const int status = in_child([]() -> int {
    ::signal(SIGPIPE, SIG_DFL);
    const auto body = []() -> task<int> {
      sockets pair;
      pair.b = rondo::descriptor();
      char byte = 'x';
      iovec part{&byte, 1};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      const int fd = pair.a.native_handle();
      const std::error_code sent = co_await code_of(io::send(fd, "x"));
      const std::error_code message_sent = co_await code_of(io::sendmsg(fd, &message));
      const bool both = sent == std::errc::broken_pipe && message_sent == sent;
      co_return both ? 7 : 8;
    };
    rondo::loop_options options;
    options.ignore_sigpipe = false;
    return rondo::run(body(), options);
  });
  CHECK(exited_with(status, 7));
}

// shutdown, bind, listen

LOOP_TEST("shutdown ends what the peer reads") {
  const sockets pair;
  co_await io::shutdown(pair.a.native_handle(), SHUT_WR);
  char byte;
  const std::size_t end =
      co_await io::recv(pair.b.native_handle(), rondo::mutable_buffer(&byte, 1));
  CHECK(end == 0);
}

LOOP_TEST("shutdown is done without the kernel's ring, and only when it is awaited") {
  const sockets pair;
  auto& loop = rondo::event_loop::current();
  auto shutting = io::shutdown(pair.a.native_handle(), SHUT_WR);
  char byte;
  CHECK(::recv(pair.b.native_handle(), &byte, 1, MSG_DONTWAIT) == -1);
  const auto calls = loop.stats().system_calls;
  co_await std::move(shutting);
  CHECK(loop.stats().system_calls == calls);
  CHECK(::recv(pair.b.native_handle(), &byte, 1, MSG_DONTWAIT) == 0);
}

LOOP_TEST("shutdown of what is no socket is an error that names the call") {
  const pipe_ends pipe;
  const std::string words = co_await words_of(io::shutdown(pipe.in(), SHUT_WR));
  CHECK(words == "shutdown: " + std::system_category().message(ENOTSOCK));
}

namespace {

/// Whether the kernel has the operations or not (Linux 6.11).
task<> bind_and_listen(bool lacking) {
  if (lacking) {
    ring_here().pretend_to_lack(rondo::detail::opcode::bind);
    ring_here().pretend_to_lack(rondo::detail::opcode::listen);
  }
  const rondo::descriptor listener = co_await io::socket(AF_INET, SOCK_STREAM);
  const auto bind_it = [&listener] {
    const rondo::endpoint gone = rondo::endpoint::loopback(0);
    return io::bind(listener.native_handle(), gone.native(), gone.native_size());
  };
  co_await bind_it();
  co_await io::listen(listener.native_handle());
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  REQUIRE(::getsockname(listener.native_handle(), reinterpret_cast<sockaddr*>(&name), &length) ==
          0);
  const rondo::descriptor client = co_await io::socket(AF_INET, SOCK_STREAM);
  co_await io::connect(client.native_handle(), reinterpret_cast<const sockaddr*>(&name), length);
  const rondo::descriptor server = co_await io::accept(listener.native_handle());
  CHECK(server);

  const rondo::descriptor other = co_await io::socket(AF_INET, SOCK_STREAM);
  const std::string taken = co_await words_of(
      io::bind(other.native_handle(), reinterpret_cast<const sockaddr*>(&name), length));
  CHECK(taken == "bind: " + std::system_category().message(EADDRINUSE));
  const pipe_ends pipe;
  const std::error_code no_socket = co_await code_of(io::listen(pipe.in()));
  CHECK(no_socket == std::errc::not_a_socket);
}

}  // namespace

LOOP_TEST("bind and listen make a listener") { co_await bind_and_listen(false); }
LOOP_TEST("bind and listen make a listener where the kernel has no operation for it") {
  co_await bind_and_listen(true);
}
