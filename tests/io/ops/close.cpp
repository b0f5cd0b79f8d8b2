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
