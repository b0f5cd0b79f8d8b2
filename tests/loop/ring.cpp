// SPDX-License-Identifier: BSL-1.0

// Opcodes that the kernel lacks go to a soft ring beside the kernel's.

#include <rondo/loop/ring.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <chrono>
#include <string>
#include <thread>

#include "loop/gate_of_calls.hpp"
#include "support/descriptors.hpp"
#include "support/loop_test.hpp"
#include "support/ring_here.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;
namespace opcode = rondo::detail::opcode;

namespace {

struct gated_op {
  using value_type = int;
  static constexpr const char* name = "gated";
  static constexpr std::uint8_t newer_opcode = gated;
  int fd;
  unsigned number;
  void prepare(io_uring_sqe& e) noexcept { io_uring_prep_rw(gated, &e, fd, nullptr, number, 0); }
};
auto pass_gate(int fd, unsigned number) { return io::operation(gated_op{fd, number}); }

std::int64_t size_of(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? status.st_size : -1;
}

task<> resizes(bool lacking) {
  if (lacking) ring_here().pretend_to_lack(opcode::ftruncate);
  const temporary_folder folder;
  rondo::file f = co_await rondo::file::open(
      folder / "a", rondo::open_mode::read | rondo::open_mode::write | rondo::open_mode::create);
  for (const std::uint64_t size : {1000U, 3U, 70'000U}) {
    co_await f.resize(size);
    CHECK(size_of(f.native_handle()) == static_cast<std::int64_t>(size));
  }
  const std::error_code code = co_await code_of(io::ftruncate(f.native_handle(), -1));
  CHECK(code == std::errc::invalid_argument);
  const std::error_code none = co_await code_of(io::ftruncate(-1, 0));
  CHECK(none == std::errc::bad_file_descriptor);
  auto many = [](rondo::file& file) -> task<> {
    for (std::uint64_t i = 0; i < 50; ++i) co_await file.resize(i);
  };
  co_await rondo::when_all(many(f), many(f), many(f));
  co_await f.close();
  const bool beside = ring_here().beside_if_made() != nullptr;
  CHECK(beside == !ring_here().knows(opcode::ftruncate));
  if (lacking) CHECK(beside == !on_epoll());
}

}  // namespace

LOOP_TEST("a file is resized, whether or not the kernel has an operation for it") {
  co_await resizes(false);
}
LOOP_TEST("a file is resized, where the kernel has no operation for it") {
  co_await resizes(true);
}

LOOP_TEST("what is carried out beside the kernel wakes a loop that sleeps") {
  gate_of_calls gate;
  auto passing = rondo::spawn([]() -> task<int> { co_return co_await pass_gate(0, 7); });
  std::thread opener([&gate] {
    gate.until_there_are(1);
    std::this_thread::sleep_for(20ms);
    gate.open();
  });
  const int number = co_await passing;
  opener.join();
  CHECK(number == 7);
}

LOOP_TEST("the loop goes on with the kernel while something is carried out beside it") {
  gate_of_calls gate;
  auto passing = rondo::spawn([]() -> task<int> { co_return co_await pass_gate(0, 7); });
  pipe_ends pipe;
  for (int i = 0; i < 100; ++i) {
    char byte;
    co_await io::write(pipe.in(), "x");
    co_await io::read(pipe.out(), rondo::mutable_buffer(&byte, 1));
  }
  co_await rondo::sleep_for(5ms);
  CHECK_FALSE(passing.done());
  gate.open();
  const int number = co_await passing;
  CHECK(number == 7);
}

LOOP_TEST("what is carried out beside the kernel loses its turn when it is canceled before") {
  gate_of_calls gate;
  // All threads are at the gate, so another has to wait.
  std::vector<rondo::join_handle<int>> passing;
  const auto pass = [](unsigned number) -> task<int> { co_return co_await pass_gate(0, number); };
  const auto most = std::max(std::thread::hardware_concurrency(), 4U);
  for (unsigned i = 0; i < most; ++i) passing.push_back(rondo::spawn(pass(i)));
  co_await until([most] { return at_the_gate == static_cast<int>(most); });
  auto late = rondo::spawn(code_of(pass_gate(0, 99)));
  co_await rondo::sleep_for(1ms);
  CHECK_FALSE(late.done());
  late.cancel();
  const std::error_code code = co_await late;
  CHECK(code == rondo::errc::canceled);
  // One that has begun is waited for, and what it says counts.
  passing[0].cancel();
  co_await rondo::sleep_for(1ms);
  CHECK_FALSE(passing[0].done());
  gate.open();
  for (unsigned i = 0; i < most; ++i) {
    const unsigned number = static_cast<unsigned>(co_await passing[i]);
    CHECK(number == i);
  }
  CHECK(at_the_gate == static_cast<int>(most));
}

LOOP_TEST("closing waits for what is carried out beside the kernel on the descriptor") {
  gate_of_calls gate;
  pipe_ends pipe;
  const int fd = pipe.out();
  auto passing = rondo::spawn([](int on) -> task<int> { co_return co_await pass_gate(on, 7); }, fd);
  co_await until([] { return at_the_gate == 1; });
  const auto close = [](rondo::descriptor d) -> task<> { co_await io::close(std::move(d)); };
  auto closing = rondo::spawn(close, std::move(pipe.reader));
  co_await rondo::sleep_for(5ms);
  CHECK_FALSE(closing.done());
  CHECK(::fcntl(fd, F_GETFD) >= 0);
  gate.open();
  const int number = co_await passing;
  co_await closing;
  CHECK(number == 7);
  CHECK(::fcntl(fd, F_GETFD) == -1);
}

LOOP_TEST("what a thread is told to give up goes on, however busy the loop is") {
  gate_of_calls gate;
  const pipe_ends pipe;
  auto passing = rondo::spawn(code_of(pass_gate(pipe.out(), 7)));
  co_await until([] { return at_the_gate == 1; });
  passing.cancel();
  co_await rondo::yield();
  gate.open();
  while (!passing.done()) co_await rondo::yield();
  const std::error_code code = co_await std::move(passing);
  CHECK(!code);
}

LOOP_TEST("an opcode that neither the kernel nor the library knows is an error") {
  const std::error_code code = co_await code_of(pass_gate(0, 1));
  CHECK(code == std::errc::operation_not_supported);
}

TEST_CASE("a loop that ends waits for what is beside the kernel, and leaves nothing open") {
  const auto before = rondo_test::open_descriptors();
  {
    gate_of_calls gate;
    rondo::event_loop loop;
    std::thread opener([&gate] {
      gate.until_there_are(1);
      std::this_thread::sleep_for(10ms);
      gate.open();
    });
    loop.run([]() -> task<> {
      static_cast<void>(rondo::spawn(code_of(pass_gate(0, 7))));
      co_await until([] { return at_the_gate == 1; });
    }());
    opener.join();
    CHECK(gate_is_open);
  }
  CHECK(rondo_test::open_descriptors() == before);
}
