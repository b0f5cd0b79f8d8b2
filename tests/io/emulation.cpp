// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/emulation.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "support/late_operation.hpp"
#include "support/loop_test.hpp"

using namespace rondo::test;
namespace io = rondo::io;

namespace {

/// An operation of a program's own, which no kernel knows: dup(2).
constexpr std::uint8_t dup_opcode = 220;
struct dup_op {
  using value_type = rondo::descriptor;
  static constexpr const char* name = "dup";
  static constexpr std::uint8_t newer_opcode = dup_opcode;
  int fd;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_rw(dup_opcode, &e, fd, nullptr, 0, 0); }
};

}  // namespace

LOOP_TEST("a program brings a function for an operation that only it knows") {
  io::register_emulation(dup_opcode, [](const io_uring_sqe& e) -> int {
    const int copy = ::fcntl(e.fd, F_DUPFD_CLOEXEC, 0);
    return copy >= 0 ? copy : -errno;
  });
  pipe_ends pipe;
  {
    const rondo::descriptor copy = co_await io::operation(dup_op{pipe.in()});
    REQUIRE(::write(copy.native_handle(), "x", 1) == 1);
  }
  char byte = 0;
  co_await io::read(pipe.out(), rondo::mutable_buffer(&byte, 1));
  CHECK(byte == 'x');
  const std::error_code code = co_await code_of(io::operation(dup_op{-1}));
  CHECK(code == std::errc::bad_file_descriptor);
  io::register_emulation(dup_opcode, nullptr);
}

LOOP_TEST("a thread that a cancellation has met too early, before it waits, is told again") {
  const late_operation known;
  auto late = rondo::spawn(code_of(io::operation(late_operation::op())));
  while (!known.began()) co_await round_trip();
  late.cancel();
  const std::error_code code = co_await std::move(late);
  CHECK(code == rondo::errc::canceled);
}
