// SPDX-License-Identifier: BSL-1.0
//
// What waiting costs the heap: nothing, once the lists that everything shares have grown.

#include <unistd.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

/// How often `work(argument)` allocates when it is done a hundred times, after it was done ten times.
template <typename Work, typename Argument>
task<std::size_t> allocations_of(Work work, Argument& argument) {
  for (int i = 0; i < 10; ++i) co_await work(argument);
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 100; ++i) co_await work(argument);
  co_return rondo_test::allocations() - before;
}

template <typename Work>
std::size_t run_counting(Work work) {
  pipe_ends pipe;
  return rondo::run(allocations_of(work, pipe));
}

/// Only without the sanitizers: with them, each frame is an allocation.
constexpr bool frames_are_kept = RONDO_FRAME_POOL != 0;

}  // namespace

TEST_CASE("a race between an operation and a sleep allocates nothing, whoever wins") {
  if (!rondo_test::heap_is_counted() || !frames_are_kept) SKIP("needs a counted heap");
  const auto sleep_wins = [](pipe_ends& pipe) -> task<> {
    std::array<char, 8> space;
    const auto won = co_await when_any(io::read(pipe.out(), space), sleep_for(1us));
    if (won.index() != 1) throw std::runtime_error("nobody has written");
  };
  const auto read_wins = [](pipe_ends& pipe) -> task<> {
    std::array<char, 8> space;
    if (::write(pipe.in(), "x", 1) != 1) throw std::runtime_error("write");
    const auto won = co_await when_any(io::read(pipe.out(), space), sleep_for(1h));
    if (won.index() != 0) throw std::runtime_error("there was something to read");
  };
  CHECK(run_counting(sleep_wins) == 0);
  CHECK(run_counting(read_wins) == 0);
}

TEST_CASE("a limit around an operation allocates nothing, whether it ends or is canceled") {
  if (!rondo_test::heap_is_counted() || !frames_are_kept) SKIP("needs a counted heap");
  const auto ends = [](pipe_ends&) -> task<> { co_await with_timeout(1h, io::nop()); };
  const auto is_canceled = [](pipe_ends& pipe) -> task<> {
    std::array<char, 8> space;
    const auto n = co_await try_for(1us, io::read(pipe.out(), space));
    if (n) throw std::runtime_error("nobody has written");
  };
  CHECK(run_counting(ends) == 0);
  CHECK(run_counting(is_canceled) == 0);
}

TEST_CASE("a range of operations allocates its values, and nothing else") {
  if (!rondo_test::heap_is_counted() || !frames_are_kept) SKIP("needs a counted heap");
  const auto range = [](pipe_ends& pipe) -> task<> {
    std::array<io::operation<detail::poll_op>, 3> three{
        io::poll(pipe.in(), POLLOUT), io::poll(pipe.in(), POLLOUT), io::poll(pipe.in(), POLLOUT)};
    const auto ready = co_await when_all(std::move(three));
    if (ready.size() != 3) throw std::runtime_error("three");
  };
  CHECK(run_counting(range) == 100);
}
