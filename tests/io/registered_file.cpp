// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/registered_file.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/operations.hpp"
#include "support/heap.hpp"

using namespace rondo;
using namespace rondo::test;

static_assert(std::is_nothrow_move_constructible_v<registered_file>);
static_assert(std::is_nothrow_move_assignable_v<registered_file>);

namespace {

/// Lets a number stand for another file, behind everybody's back.
void put_in_its_place(int fd, const std::string& path) {
  const descriptor other(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (::dup3(other.native_handle(), fd, O_CLOEXEC) != fd) throw std::runtime_error("dup3");
}

/// Whether nobody has the writing end of a pipe any more.
bool at_end(const pipe_ends& pipe) {
  ::fcntl(pipe.out(), F_SETFL, O_NONBLOCK);
  char byte = 0;
  return ::read(pipe.out(), &byte, 1) == 0;
}

}  // namespace

LOOP_TEST("operations do on a registered file what they do on its descriptor") {
  const digits d;
  file f = file::adopt(::dup(d.fd()));
  const registered_file hot(f.native_handle());
  CHECK(hot.native_handle() == f.native_handle());
  std::array<char, 4> space{};
  const std::size_t n = co_await hot.use(f.read_at(space, 3));
  CHECK(std::string_view(space.data(), n) == "3456");
  co_await hot.use(f.write_at("ab", 8));
  co_await hot.use(f.sync());
  CHECK(text_in(d.path) == "01234567ab");
  const std::size_t first = co_await hot.use(io::read(hot.native_handle(), space));
  CHECK(std::string_view(space.data(), first) == "0123");
  co_await hot.use(f.read_exactly(space));
  CHECK(std::string_view(space.data(), 4) == "4567");
  const std::size_t size = co_await hot.use(f.size());  // no place may be named there
  CHECK(size == 10);
  const auto end = co_await code_of(hot.use(f.read_exactly_at(space, 8)));
  CHECK(end == errc::unexpected_eof);
}

LOOP_TEST("a registered file is the file that was registered, whatever its number is by now") {
  if (on_epoll()) co_return;  // which has only the number
  const digits d;
  const digits other;
  put(other.path, "another");
  const registered_file hot(d.fd());
  put_in_its_place(d.fd(), other.path);
  std::array<char, 20> space{};
  const std::size_t n = co_await hot.use(io::read(d.fd(), space, 0));
  CHECK(std::string_view(space.data(), n) == "0123456789");
  const std::size_t by_number = co_await io::read(d.fd(), space, 0);
  CHECK(std::string_view(space.data(), by_number) == "another");
  iovec part{space.data(), 3};
  const std::size_t by_parts = co_await hot.use(io::readv(d.fd(), &part, 1, 4));
  CHECK(std::string_view(space.data(), by_parts) == "456");
  const registered_buffers known(1, 4);
  const std::size_t both = co_await hot.use(io::read_fixed(d.fd(), known[0], 6));
  CHECK(std::string_view(known[0].data(), both) == "6789");
  co_await hot.use(io::write(d.fd(), "XY", 0));
  CHECK(text_in(d.path) == "XY23456789");
  CHECK(text_in(other.path) == "another");
}

LOOP_TEST("an operation on another descriptor stays one on that") {
  const digits d;
  const digits other;
  put(other.path, "another");
  const registered_file hot(d.fd());
  std::array<char, 20> space{};
  const std::size_t n = co_await hot.use(io::read(other.fd(), space, 0));
  CHECK(std::string_view(space.data(), n) == "another");
}

LOOP_TEST("sockets can be registered") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  const descriptor left(ends[0]);
  const descriptor right(ends[1]);
  const registered_file hot(ends[0]);
  std::string text(8, '\0');
  const auto got = co_await when_all(hot.use(io::recv(ends[0], mutable_buffer(text))),
                                     io::send(ends[1], "hello"));
  CHECK(std::get<0>(got) == 5);
  CHECK(std::string_view(text).substr(0, 5) == "hello");
  co_await hot.use(io::send(ends[0], "back"));
  co_await hot.use(io::shutdown(ends[0], SHUT_WR));
  const std::size_t back = co_await io::recv(ends[1], mutable_buffer(text));
  CHECK(std::string_view(text).substr(0, back) == "back");
  const std::size_t end = co_await io::recv(ends[1], mutable_buffer(text));
  CHECK(end == 0);
}

LOOP_TEST("an operation on a registered file is canceled in flight") {
  const pipe_ends pipe;
  const registered_file hot(pipe.out());
  std::array<char, 4> space{};
  const auto code = co_await canceled_in_flight(hot.use(io::read(pipe.out(), space)));
  CHECK(code == errc::canceled);
  const auto refused = co_await in_canceled_scope(hot.use(io::read(pipe.out(), space)));
  CHECK(refused == errc::canceled);
  co_await io::write(pipe.in(), "go");
  const std::size_t n = co_await hot.use(io::read(pipe.out(), space));
  CHECK(n == 2);
}

LOOP_TEST("close closes a registered file: what is in flight ends, and the kernel holds it no longer") {
  const pipe_ends pipe;
  file in = file::adopt(::dup(pipe.in()));
  const registered_file hot(in.native_handle());
  // What does not fit waits for room.
  std::string much(1 << 20, 'x');
  auto writing = spawn(code_of(hot.use(in.write(std::move(much)))));
  co_await round_trip();
  CHECK_FALSE(writing.done());
  const int number = in.native_handle();
  co_await in.close();
  const auto code = co_await writing;
  CHECK(code == errc::closed);
  const auto after = co_await code_of(hot.use(io::write(number, "x")));
  CHECK(after == std::errc::bad_file_descriptor);
  const_cast<descriptor&>(pipe.writer) = descriptor();
  std::array<char, 4096> space{};
  std::size_t left = 1;
  while (left != 0) left = co_await io::read(pipe.out(), space);
  CHECK(at_end(pipe));
}

LOOP_TEST("the kernel lets go of a file with the last who needs it") {
  pipe_ends pipe;
  std::optional<registered_file> hot(std::in_place, pipe.in());
  auto kept = hot->use(io::write(pipe.in(), "x"));
  const int number = pipe.writer.release();
  hot.reset();
  co_await std::move(kept);
  char byte = 0;
  const std::size_t n = co_await io::read(pipe.out(), mutable_buffer(&byte, 1));
  CHECK(n == 1);
  ::close(number);
  co_await until([&] { return at_end(pipe); });
}

LOOP_TEST("a registered file can be moved") {
  const digits d;
  const digits other;
  registered_file a(d.fd());
  registered_file b(std::move(a));
  CHECK(a.native_handle() == -1);
  CHECK(b.native_handle() == d.fd());
  a = registered_file(other.fd());
  a = std::move(b);
  CHECK(a.native_handle() == d.fd());
  std::array<char, 4> space{};
  const std::size_t n = co_await a.use(io::read(d.fd(), space, 0));
  CHECK(n == 4);
  const std::size_t ordinary = co_await b.use(io::read(d.fd(), space, 0));
  CHECK(ordinary == 4);
}

LOOP_TEST("what is not open cannot be registered") {
  for (const int fd : {-1, 1'000'000}) {
    std::error_code code;
    try {
      const registered_file none(fd);
    } catch (const std::system_error& e) {
      code = e.code();
      CHECK(contains(e.what(), "registered_file"));
    }
    CHECK(code == std::errc::bad_file_descriptor);
  }
  co_return;
}

TEST_CASE("a file is registered where a loop runs") {
  const auto before = rondo_test::live_blocks();
  CHECK_THROWS_AS(registered_file(0), std::logic_error);
  CHECK(rondo_test::live_blocks() == before);
}

LOOP_TEST("files that do not fit into the loop's table are refused with words, until there is room") {
  const digits d;
  std::vector<registered_file> all;
  for (std::size_t i = 0; i < registered_file::max_files; ++i) all.emplace_back(d.fd());
  std::error_code code;
  try {
    all.emplace_back(d.fd());
  } catch (const std::system_error& e) {
    code = e.code();
    CHECK(contains(e.what(), "as many as it can have"));
  }
  CHECK((code == std::errc::no_space_on_device) == !on_epoll());
  all.erase(all.begin() + 300);
  if (on_epoll()) all.pop_back();
  all.emplace_back(d.fd());
  std::array<char, 4> space{};
  for (const auto& each : all) {
    const std::size_t n = co_await each.use(io::read(d.fd(), space, 6));
    CHECK(n == 4);
  }
}

ON_BOTH_RINGS("a process that may have few descriptors is told why it cannot register a file", {
  const int status = in_child([]() -> int {
    const rlimit few{100, 100};
    if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 2;
    return rondo::run([]() -> task<int> {
      try {
        const registered_file hot(0);
      } catch (const std::system_error& e) {
        const bool right = e.code() == std::errc::too_many_files_open && contains(e.what(), "ulimit -n");
        co_return right && !on_epoll() ? 0 : 3;
      }
      co_return on_epoll() ? 0 : 4;
    }());
  });
  CAPTURE(status);
  CHECK(exited_with(status, 0));
})

ON_BOTH_RINGS("a registered file is a descriptor to every other loop, and when its own has ended", {
  event_loop one;
  event_loop two;
  const digits d;
  std::optional<registered_file> hot;
  const auto make = [&]() -> task<> {
    hot.emplace(d.fd());
    co_return;
  };
  const auto use = [&]() -> task<> {
    std::array<char, 4> space{};
    const std::size_t n = co_await hot->use(io::read(d.fd(), space, 2));
    CHECK(std::string_view(space.data(), n) == "2345");
  };
  one.run(make());
  two.run(use());
  one.run(use());
  rondo::run(make());
  rondo::run(use());
  hot.reset();
})

LOOP_TEST("an operation on a registered file allocates nothing") {
  const digits d;
  const registered_file hot(d.fd());
  std::array<char, 4> space{};
  static_cast<void>(co_await hot.use(io::read(d.fd(), space, 0)));
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 100; ++i) static_cast<void>(co_await hot.use(io::read(d.fd(), space, 0)));
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}
