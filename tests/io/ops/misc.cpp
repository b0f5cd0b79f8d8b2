// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/misc.hpp>

#include "io/operations.hpp"

using namespace rondo::test;
namespace io = rondo::io;

LOOP_TEST("a nop goes to the kernel and comes back") {
  auto& loop = rondo::event_loop::current();
  co_await io::nop();
  const auto calls = loop.stats().system_calls;
  co_await io::nop();
  CHECK(loop.stats().system_calls == calls + 1);
}

LOOP_TEST("a nop in a canceled scope is refused") {
  const std::error_code code = co_await in_canceled_scope(io::nop());
  CHECK(code == rondo::errc::canceled);
}

LOOP_TEST("poll gives what is true of the descriptor, and leaves its bytes alone") {
  pipe_ends pipe;
  const short empty = co_await io::poll(pipe.in(), POLLOUT);
  REQUIRE(::write(pipe.in(), "x", 1) == 1);
  const short full = co_await io::poll(pipe.out(), POLLIN | POLLPRI);
  CHECK(empty == POLLOUT);
  CHECK(full == POLLIN);
  CHECK(waiting_in(pipe.out()) == "x");
}

LOOP_TEST("poll waits until something is true") {
  pipe_ends pipe;
  auto polling = rondo::spawn(
      [](int fd) -> rondo::task<short> { co_return co_await rondo::readable(fd); }, pipe.out());
  for (int i = 0; i < 10; ++i) co_await round_trip();
  CHECK_FALSE(polling.done());
  REQUIRE(::write(pipe.in(), "x", 1) == 1);
  const short events = co_await polling;
  CHECK(events == POLLIN);
}

LOOP_TEST("writable waits until there is room") {
  pipe_ends pipe;
  const std::size_t filled = pipe.fill();
  auto polling = rondo::spawn(
      [](int fd) -> rondo::task<short> { co_return co_await rondo::writable(fd); }, pipe.in());
  for (int i = 0; i < 10; ++i) co_await round_trip();
  CHECK_FALSE(polling.done());
  CHECK(waiting_in(pipe.out()).size() == std::min<std::size_t>(filled, 100'000));
  const short events = co_await polling;
  CHECK((events & POLLOUT) != 0);
}

LOOP_TEST("poll reports a hang-up that nobody asked for") {
  pipe_ends pipe;
  pipe.writer = rondo::descriptor();
  const short events = co_await io::poll(pipe.out(), POLLIN);
  CHECK(events == POLLHUP);
}

LOOP_TEST("poll that is canceled leaves the descriptor as it was") {
  pipe_ends pipe;
  const std::error_code code = co_await canceled_in_flight(rondo::readable(pipe.out()));
  CHECK(code == rondo::errc::canceled);
  REQUIRE(::write(pipe.in(), "x", 1) == 1);
  const short events = co_await rondo::readable(pipe.out());
  CHECK(events == POLLIN);
}

LOOP_TEST("madvise tells the kernel about memory, and knows its advice") {
  constexpr std::uint32_t size = 8192;
  void* const memory =
      ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  static_cast<char*>(memory)[0] = 'x';
  co_await io::madvise(memory, size, MADV_DONTNEED);
  CHECK(static_cast<char*>(memory)[0] == 0);
  const std::string words = co_await words_of(io::madvise(memory, size, 12345));
  CHECK(words == "madvise: " + std::system_category().message(EINVAL));
  for (int turns = 0; turns < 4; ++turns) {
    const bool fine = co_await canceled_soon(io::madvise(memory, size, MADV_NORMAL), turns);
    CHECK(fine);
  }
  ::munmap(memory, size);
}
