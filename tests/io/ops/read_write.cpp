// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/read_write.hpp>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

// read, readv

LOOP_TEST("read gives how many bytes came, from the current position") {
  const digits d;
  char bytes[4];
  const std::size_t first = co_await io::read(d.fd(), bytes);
  CHECK(std::string(bytes, first) == "0123");
  const std::size_t second = co_await io::read(d.fd(), bytes);
  CHECK(std::string(bytes, second) == "4567");
  const std::size_t third = co_await io::read(d.fd(), bytes);
  CHECK(std::string(bytes, third) == "89");
  const std::size_t end = co_await io::read(d.fd(), bytes);
  CHECK(end == 0);
}

LOOP_TEST("read at an offset does not move the position") {
  const digits d;
  char bytes[3];
  const std::size_t there = co_await io::read(d.fd(), bytes, 5);
  CHECK(std::string(bytes, there) == "567");
  const std::size_t beyond = co_await io::read(d.fd(), bytes, 1000);
  CHECK(beyond == 0);
  const std::size_t here = co_await io::read(d.fd(), bytes);
  CHECK(std::string(bytes, here) == "012");
}

LOOP_TEST("read at an offset that no file has is an error") {
  const digits d;
  char bytes[3];
  const std::error_code negative = co_await code_of(io::read(d.fd(), bytes, -2));
  CHECK(negative == std::errc::invalid_argument);
  CHECK(::lseek(d.fd(), 0, SEEK_CUR) == 0);
}

LOOP_TEST("a read that waits gets what is written, and the end when the writer has gone") {
  pipe_ends pipe;
  char bytes[10];
  auto reading = rondo::spawn(
      [](int fd, char* to) -> task<std::size_t> {
        co_return co_await io::read(fd, rondo::mutable_buffer(to, 10));
      },
      pipe.out(), bytes);
  co_await round_trip();
  CHECK_FALSE(reading.done());
  REQUIRE(::write(pipe.in(), "abc", 3) == 3);
  const std::size_t n = co_await reading;
  CHECK(std::string(bytes, n) == "abc");
  pipe.writer = rondo::descriptor();
  const std::size_t end = co_await io::read(pipe.out(), bytes);
  CHECK(end == 0);
}

LOOP_TEST(
    "a read that is canceled in flight ends as canceled, and takes no byte that comes later") {
  pipe_ends pipe;
  char byte = 'o';
  const std::error_code code =
      co_await canceled_in_flight(io::read(pipe.out(), rondo::mutable_buffer(&byte, 1)));
  CHECK(code == rondo::errc::canceled);
  REQUIRE(::write(pipe.in(), "x", 1) == 1);
  co_await round_trip();
  CHECK(byte == 'o');
  CHECK(waiting_in(pipe.out()) == "x");
}

LOOP_TEST("readv fills one buffer after the other") {
  const digits d;
  char a[3];
  char b[4];
  const iovec parts[] = {{a, sizeof a}, {b, sizeof b}};
  const std::size_t n = co_await io::readv(d.fd(), parts, 2);
  CHECK(n == 7);
  CHECK(std::string(a, 3) + "|" + std::string(b, 4) == "012|3456");
  const std::size_t at = co_await io::readv(d.fd(), parts, 2, 8);
  CHECK(at == 2);
  CHECK(std::string(a, 2) == "89");
}

LOOP_TEST("a readv that is canceled in flight ends as canceled") {
  pipe_ends pipe;
  char byte;
  const iovec part{&byte, 1};
  const std::error_code code = co_await canceled_in_flight(io::readv(pipe.out(), &part, 1));
  CHECK(code == rondo::errc::canceled);
}

// write, writev

LOOP_TEST("write gives how many bytes went, at the current position or at an offset") {
  const digits d;
  const std::size_t first = co_await io::write(d.fd(), "ab");
  const std::size_t second = co_await io::write(d.fd(), "cd");
  const std::size_t there = co_await io::write(d.fd(), "xy", 6);
  CHECK(first == 2);
  CHECK(second == 2);
  CHECK(there == 2);
  std::string all(10, '\0');
  const std::size_t n = co_await io::read(d.fd(), all, 0);
  CHECK(n == 10);
  CHECK(all == "abcd45xy89");
}

LOOP_TEST("write keeps an owner that is given away until the kernel has read it") {
  pipe_ends pipe;
  const std::string longer(4000, 'l');  // goes at once everywhere: less than PIPE_BUF
  const std::vector<char> bytes(3, 'v');
  co_await io::write(pipe.in(), std::string("short"));
  co_await io::write(pipe.in(), std::string(longer));
  co_await io::write(pipe.in(), std::vector<char>(bytes));
  CHECK(waiting_in(pipe.out()) == "short" + longer + "vvv");
}

LOOP_TEST("writing to a full disk is an error") {
  const rondo::descriptor full = co_await io::openat(AT_FDCWD, "/dev/full", O_WRONLY);
  const std::string words = co_await words_of(io::write(full.native_handle(), "x"));
  CHECK(words == "write: " + std::system_category().message(ENOSPC));
}

LOOP_TEST("writing to a pipe that nobody reads is an error") {
  pipe_ends pipe;
  pipe.reader = rondo::descriptor();
  const std::error_code one = co_await code_of(io::write(pipe.in(), "x"));
  char byte = 'x';
  const iovec part{&byte, 1};
  const std::error_code many = co_await code_of(io::writev(pipe.in(), &part, 1));
  CHECK(one == std::errc::broken_pipe);
  CHECK(many == std::errc::broken_pipe);
}

LOOP_TEST("a write that is canceled while there is no room ends as canceled, and wrote nothing") {
  pipe_ends pipe(4096);
  const std::size_t filled = pipe.fill();
  const std::error_code code = co_await canceled_in_flight(io::write(pipe.in(), "late"));
  CHECK(code == rondo::errc::canceled);
  CHECK(waiting_in(pipe.out()) == std::string(filled, '\0'));
  co_await round_trip();
  CHECK(waiting_in(pipe.out()).empty());
}

LOOP_TEST("writev writes one buffer after the other") {
  const digits d;
  char a[] = {'A', 'B'};
  char b[] = {'C', 'D', 'E'};
  const iovec parts[] = {{a, sizeof a}, {b, sizeof b}};
  const std::size_t n = co_await io::writev(d.fd(), parts, 2, 1);
  CHECK(n == 5);
  std::string all(10, '\0');
  const std::size_t read = co_await io::read(d.fd(), all, 0);
  CHECK(read == 10);
  CHECK(all == "0ABCDE6789");
}

ON_BOTH_RINGS("writev writes several buffers at once also to a terminal", {
  const rondo::descriptor terminal(::posix_openpt(O_RDWR | O_NOCTTY));
  const bool there = terminal && ::grantpt(terminal) == 0 && ::unlockpt(terminal) == 0;
  const rondo::descriptor shell(there ? ::open(::ptsname(terminal), O_RDWR | O_NOCTTY) : -1);
  if (!shell) SKIP("needs a pseudoterminal");
  std::string words[] = {"wo", "rld"};
  const iovec parts[] = {{words[0].data(), 2}, {words[1].data(), 3}};
  CHECK(rondo::run(io::writev(shell, parts, 2)) == 5);
  char text[10] = "";
  CHECK(::read(terminal, text, sizeof text) == 5);
  CHECK(std::string(text) == "world");
})

LOOP_TEST("a writev that is canceled while there is no room ends as canceled") {
  pipe_ends pipe(4096);
  pipe.fill();
  char byte = 'x';
  const iovec part{&byte, 1};
  const std::error_code code = co_await canceled_in_flight(io::writev(pipe.in(), &part, 1));
  CHECK(code == rondo::errc::canceled);
}
