// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/close.hpp>

#include <string>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

LOOP_TEST("close closes, also in a canceled scope") {
  const auto before = rondo_test::open_descriptors();
  {
    pipe_ends pipe;
    co_await io::close(std::move(pipe.reader));
    CHECK_FALSE(pipe.reader);
    CHECK(rondo_test::open_descriptors() == before + 1);
    const std::error_code code = co_await in_canceled_scope(io::close(std::move(pipe.writer)));
    CHECK(code == std::error_code());
    CHECK(rondo_test::open_descriptors() == before);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("close of nothing is an error, and so is close of what is closed already") {
  const std::string empty = co_await words_of(io::close(rondo::descriptor()));
  CHECK(empty == "close: " + std::system_category().message(EBADF));
  pipe_ends pipe;
  rondo::descriptor twice(pipe.out());
  co_await io::close(std::move(pipe.reader));
  const std::error_code again = co_await code_of(io::close(std::move(twice)));
  CHECK(again == std::errc::bad_file_descriptor);
}

LOOP_TEST("a close that is made and dropped closes at once") {
  const auto before = rondo_test::open_descriptors();
  {
    pipe_ends pipe;
    static_cast<void>(io::close(std::move(pipe.reader)));
    CHECK(rondo_test::open_descriptors() == before + 1);
  }
  co_await round_trip();
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("close reaches everything in flight on its descriptor, and nothing else") {
  pipe_ends pipe;
  pipe_ends other;
  std::vector<rondo::join_handle<std::error_code>> polls;
  for (int i = 0; i < 100; ++i) polls.push_back(rondo::spawn(code_of(rondo::readable(pipe.out()))));
  auto elsewhere = rondo::spawn(code_of(rondo::readable(other.out())));
  co_await round_trip();
  co_await io::close(std::move(pipe.reader));
  int closed = 0;
  for (auto& p : polls) {
    const std::error_code code = co_await p;
    closed += code == rondo::errc::closed ? 1 : 0;
  }
  CHECK(closed == 100);
  CHECK_FALSE(elsewhere.done());
}

namespace {

task<> after_a_round(task<> work) {
  co_await round_trip();
  co_await std::move(work);
}
task<> closes(int fd) { co_await io::close(fd); }
task<> does_nothing() { co_return; }
task<> receives(int fd, std::error_code& code) {
  char bytes[4];
  code = co_await code_of(io::recv(fd, bytes));
}
task<> reads_in_two_steps(rondo::pipe_reader& from) {
  char bytes[4];
  co_await from.read_exactly(bytes);
}
task<> writes_the_rest(rondo::pipe_writer& to) {
  for (int i = 0; i < 10; ++i) co_await round_trip();
  co_await to.write("cd");
}

}  // namespace

// More than 64 are ready, so it takes turns until all have had theirs; and an operation that has
// made one of its steps waits among them for the next one, as the close does for its own.
LOOP_TEST("whoever was ready before a close begins before it, though something else has steps, too") {
  sockets pair;
  auto [out, in] = rondo::make_pipe();
  co_await in.write("ab");
  std::error_code code;
  const int fd = pair.a.release();
  {
    std::vector<task<>> all;
    all.push_back(after_a_round(closes(fd)));
    for (int i = 0; i < 80; ++i) all.push_back(after_a_round(does_nothing()));
    all.push_back(reads_in_two_steps(out));
    all.push_back(after_a_round(receives(fd, code)));
    all.push_back(writes_the_rest(in));
    co_await rondo::when_all(std::move(all));
  }
  CHECK(code == rondo::errc::closed);
}
