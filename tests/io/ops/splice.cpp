// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/splice.hpp>

#include <chrono>
#include <string>

#include "io/operations.hpp"
#include "support/descriptors.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

namespace {

task<std::size_t> spliced(int from, int to, unsigned size) {
  co_return co_await io::splice(from, -1, to, -1, size);
}

}  // namespace

LOOP_TEST("splice moves bytes from a file to a pipe and on to a file, from where it is told") {
  const digits d;
  pipe_ends pipe;
  const std::size_t in = co_await io::splice(d.fd(), 3, pipe.in(), -1, 100);
  CHECK(in == 7);
  const std::size_t none = co_await io::splice(d.fd(), 10, pipe.in(), -1, 100);
  CHECK(none == 0);
  const std::size_t out = co_await io::splice(pipe.out(), -1, d.fd(), 0, 2);
  CHECK(out == 2);
  CHECK(text_in(d.path) == "3423456789");
  CHECK(waiting_in(pipe.out()) == "56789");
}

LOOP_TEST("splice uses the position where no offset is given") {
  const digits d;
  pipe_ends pipe;
  co_await io::splice(d.fd(), -1, pipe.in(), -1, 4);
  co_await io::splice(d.fd(), -1, pipe.in(), -1, 4);
  CHECK(waiting_in(pipe.out()) == "01234567");
}

LOOP_TEST("splice waits for bytes") {
  pipe_ends from;
  pipe_ends to;
  auto splicing = rondo::spawn(spliced(from.out(), to.in(), 10));
  for (int i = 0; i < 3; ++i) co_await round_trip();
  CHECK_FALSE(splicing.done());
  REQUIRE(::write(from.in(), "abc", 3) == 3);
  const std::size_t n = co_await splicing;
  CHECK(n == 3);
  CHECK(waiting_in(to.out()) == "abc");
}

LOOP_TEST("a splice that waits is canceled, and takes no byte that comes later") {
  pipe_ends from;
  pipe_ends to;
  for (const auto delay : {0ms, 1ms, 20ms}) {
    auto splicing = rondo::spawn(code_of(io::splice(from.out(), -1, to.in(), -1, 10)));
    co_await round_trip();
    co_await rondo::sleep_for(delay);
    splicing.cancel();
    const std::error_code code = co_await splicing;
    CHECK(code == rondo::errc::canceled);
  }
  REQUIRE(::write(from.in(), "x", 1) == 1);
  CHECK(waiting_in(from.out()) == "x");
  CHECK(waiting_in(to.out()).empty());
}

LOOP_TEST("a splice and a tee end when one of their two is closed under them") {
  for (const auto delay : {0ms, 1ms, 20ms}) {
    for (const bool the_target : {false, true}) {
      pipe_ends from;
      pipe_ends to;
      auto splicing = rondo::spawn(code_of(io::splice(from.out(), -1, to.in(), -1, 10)));
      auto copying = rondo::spawn(code_of(io::tee(from.out(), to.in(), 10)));
      co_await round_trip();
      co_await rondo::sleep_for(delay);
      co_await io::close(the_target ? std::move(to.writer) : std::move(from.reader));
      const std::error_code spliced_code = co_await splicing;
      const std::error_code copied_code = co_await copying;
      CHECK(spliced_code == rondo::errc::closed);
      CHECK(copied_code == rondo::errc::closed);
    }
  }
}

LOOP_TEST("a splice from a socket with a limit of its own ends as closed, too") {
  sockets pair;
  const timeval limit{100, 0};
  const int fd = pair.a.native_handle();
  REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
  pipe_ends to;
  auto splicing = rondo::spawn(code_of(io::splice(fd, -1, to.in(), -1, 10)));
  co_await round_trip();
  co_await rondo::sleep_for(20ms);
  co_await io::close(std::move(pair.a));
  const std::error_code code = co_await splicing;
  CHECK(code == rondo::errc::closed);
}

LOOP_TEST("splice between two files is an error") {
  const digits d;
  const digits e;
  const std::string words = co_await words_of(io::splice(d.fd(), 0, e.fd(), 0, 1));
  CHECK(words == "splice: " + std::system_category().message(EINVAL));
}

LOOP_TEST("tee copies what waits in a pipe, and leaves it there") {
  pipe_ends from;
  pipe_ends to;
  REQUIRE(::write(from.in(), "abc", 3) == 3);
  const std::size_t n = co_await io::tee(from.out(), to.in(), 2);
  CHECK(n == 2);
  CHECK(waiting_in(to.out()) == "ab");
  CHECK(waiting_in(from.out()) == "abc");
}

LOOP_TEST("a tee that waits is canceled") {
  const pipe_ends from;
  const pipe_ends to;
  for (const auto delay : {0ms, 1ms, 20ms}) {
    auto copying = rondo::spawn(code_of(io::tee(from.out(), to.in(), 10)));
    co_await round_trip();
    co_await rondo::sleep_for(delay);
    copying.cancel();
    const std::error_code code = co_await copying;
    CHECK(code == rondo::errc::canceled);
  }
}
