// SPDX-License-Identifier: BSL-1.0

#include <rondo/streams/pipe.hpp>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <string>

#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace rondo::test;
using namespace std::chrono_literals;
using rondo::make_pipe;
using rondo::task;

// What holds for every stream is tested in conformance.cpp.

TEST_CASE("both ends of a pipe close on exec, and are released and adopted") {
  const auto before = rondo_test::open_descriptors();
  {
    auto [out, in] = make_pipe();
    CHECK((::fcntl(out.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(in.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
    const int fd = out.release();
    CHECK_FALSE(out);
    CHECK(out.native_handle() == -1);
    const rondo::pipe_reader again = rondo::pipe_reader::adopt(fd);
    CHECK(again);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

namespace {

/// What is thrown where no descriptor is left. UndefinedBehaviorSanitizer opens a pipe to look at an
/// object of a type that it has not seen yet, so it sees one before, and the error afterwards.
std::exception_ptr error_without_descriptors(void (*call)()) {
  REQUIRE(std::system_error(EMFILE, std::system_category(), "seen").code());
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  rlimit none = limit;
  none.rlim_cur = 3;
  std::exception_ptr error;
  ::setrlimit(RLIMIT_NOFILE, &none);
  try {
    call();
  } catch (...) {
    error = std::current_exception();
  }
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return error;
}

}  // namespace

TEST_CASE("no descriptor is left: the pipe is an error, and so is a copy of a standard stream") {
  const auto before = rondo_test::open_descriptors();
  const auto pipe = error_without_descriptors([] { static_cast<void>(make_pipe()); });
  const auto copy =
      error_without_descriptors([] { static_cast<void>(rondo::standard_output()); });
  REQUIRE(pipe);
  REQUIRE(copy);
  try {
    std::rethrow_exception(pipe);
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::too_many_files_open);
  }
  CHECK_THROWS_WITH(std::rethrow_exception(copy),
                    Catch::Matchers::ContainsSubstring("standard output: "));
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("write_some gives how many bytes have gone into a pipe that has room for some") {
  auto [out, in] = make_pipe();
  const std::size_t n = co_await in.write_some("abc");
  CHECK(n == 3);
  std::string space(3, '\0');
  co_await out.read_exactly(space);
  CHECK(space == "abc");
}

namespace {

/// One without a line of its own: what is written comes out at the other end as it is.
std::pair<rondo::pipe_reader, rondo::pipe_writer> make_terminal(int flags = 0) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  REQUIRE(master >= 0);
  REQUIRE(::grantpt(master) == 0);
  REQUIRE(::unlockpt(master) == 0);
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC | flags);
  REQUIRE(terminal >= 0);
  return {rondo::pipe_reader::adopt(master), rondo::pipe_writer::adopt(terminal)};
}

bool there_are_terminals() {
  return static_cast<bool>(rondo::pipe_reader::adopt(::posix_openpt(O_RDWR | O_NOCTTY)));
}

task<> fill_a_terminal(int flags) {
  auto [screen, out] = make_terminal(flags);
  const std::string text(100'000, 'x');
  auto written = rondo::spawn(out.write(text));
  for (int i = 0; i < 5; ++i) co_await rondo::sleep_for(1ms);
  CHECK_FALSE(written.done());
  std::string seen(text.size(), '\0');
  co_await screen.read_exactly(seen);
  co_await written;
  CHECK(seen == text);
  const std::size_t more = co_await out.write_some("abc");
  CHECK(more == 3);
}

task<> give_up_on_a_terminal() {
  auto [screen, out] = make_terminal();
  const std::string text(100'000, 'x');
  const bool in_time = co_await rondo::try_for(20ms, out.write(text));
  CHECK_FALSE(in_time);
}

}  // namespace

ON_BOTH_RINGS("a terminal that takes nothing more keeps its writer waiting, and not the loop", {
  if (!there_are_terminals()) SKIP("needs terminals (devpts)");
  rondo::run(fill_a_terminal(0));
  rondo::run(fill_a_terminal(O_NONBLOCK));  // as another program may have set it
})

ON_BOTH_RINGS("who waits for a terminal is canceled", {
  if (!there_are_terminals()) SKIP("needs terminals (devpts)");
  rondo::run(give_up_on_a_terminal());
})

ON_BOTH_RINGS("a program reads its standard input and writes its standard output", {
  // In a process of its own, whose streams are pipes.
  int to[2];
  int from[2];
  REQUIRE(::pipe2(to, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(from, O_CLOEXEC) == 0);
  REQUIRE(::write(to[1], "hello", 5) == 5);
  ::close(to[1]);
  const int status = in_child([&] {
    ::dup2(to[0], 0);
    ::dup2(from[1], 1);
    const auto copy = []() -> task<> {
      auto input = rondo::standard_input();
      auto output = rondo::standard_output();
      std::array<char, 3> space;
      for (;;) {
        const std::size_t n = co_await input.read(space);
        if (n == 0) break;
        co_await output.write(std::string_view(space.data(), n));
      }
      co_await output.close();
      co_await input.close();
    };
    rondo::run(copy());
    return ::fcntl(1, F_GETFD) != -1 && ::fcntl(0, F_GETFD) != -1 ? 0 : 1;  // they are still open
  });
  CHECK(exited_with(status, 0));
  ::close(from[1]);
  char space[10];
  CHECK(std::string(space, static_cast<std::size_t>(::read(from[0], space, 10))) == "hello");
  ::close(from[0]);
  ::close(to[0]);
})
