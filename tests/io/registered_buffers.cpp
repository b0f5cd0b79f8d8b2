// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/registered_buffers.hpp>

#include <grp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>
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

static_assert(std::is_nothrow_move_constructible_v<registered_buffers>);
static_assert(!std::is_copy_constructible_v<registered_buffers>);
static_assert(std::is_convertible_v<registered_buffer, mutable_buffer>);
static_assert(std::is_convertible_v<registered_buffer, const_buffer>);
static_assert(detail::source_of_bytes<registered_buffer>);

namespace {

/// Kilobytes of this process, from /proc/self/status.
long kilobytes_of(const char* what) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    if (word != what) continue;
    long kilobytes = 0;
    status >> kilobytes;
    return kilobytes;
  }
  return -1;
}
/// What some part of the kernel keeps in its place.
long pinned() { return kilobytes_of("VmPin:"); }
/// What is mapped.
long in_memory() { return kilobytes_of("VmSize:"); }

/// Tries to make them; gives what is said when that fails.
std::string refusal(std::size_t count, std::size_t size) {
  try {
    const registered_buffers made(count, size);
    return "made";
  } catch (const std::exception& e) {
    return e.what();
  }
}

}  // namespace

LOOP_TEST("registered buffers lie one behind the other, from the begin of a page on") {
  const registered_buffers buffers(5, 4096);
  CHECK(buffers.count() == 5);
  CHECK(buffers.size() == 4096);
  const char* const first = buffers[0].data();
  CHECK(reinterpret_cast<std::uintptr_t>(first) % 4096 == 0);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(buffers[i].data() == first + i * 4096);
    CHECK(buffers[i].size() == 4096);
    std::memset(buffers[i].data(), static_cast<int>(i), 4096);
  }
  const registered_buffers small(3, 100);
  CHECK(small[2].data() == small[0].data() + 200);
  co_return;
}

LOOP_TEST("no registered buffers, empty ones, or more than the kernel takes are an error") {
  CHECK_THROWS_AS(registered_buffers(0, 16), std::invalid_argument);
  CHECK_THROWS_AS(registered_buffers(16, 0), std::invalid_argument);
  const std::size_t all = registered_buffers::max_bytes;
  CHECK_THROWS_AS(registered_buffers(1, all + 1), std::invalid_argument);
  CHECK_THROWS_AS(registered_buffers(2, all / 2 + 1), std::invalid_argument);
  CHECK_THROWS_AS(registered_buffers(static_cast<std::size_t>(-1), 2), std::invalid_argument);
  CHECK_THROWS_AS(registered_buffers(2, static_cast<std::size_t>(-1)), std::invalid_argument);
  co_return;
}

LOOP_TEST("a registered buffer that is not there, or a part that is too large, is an error") {
  registered_buffers buffers(2, 10);
  CHECK_THROWS_AS(buffers[2], std::out_of_range);
  CHECK_THROWS_AS(buffers[static_cast<std::size_t>(-1)], std::out_of_range);
  const registered_buffer b = buffers[1];
  CHECK(b.first(10).size() == 10);
  CHECK(b.after(10).size() == 0);
  CHECK(b.after(3).data() == b.data() + 3);
  CHECK(b.after(3).size() == 7);
  CHECK(b.after(3).first(2).size() == 2);
  CHECK_THROWS_AS(b.first(11), std::out_of_range);
  CHECK_THROWS_AS(b.after(11), std::out_of_range);
  CHECK_THROWS_AS(b.after(3).first(8), std::out_of_range);
  const registered_buffers moved = std::move(buffers);
  CHECK(moved.count() == 2);
  CHECK(buffers.count() == 0);
  CHECK_THROWS_AS(buffers[0], std::out_of_range);
  co_return;
}

TEST_CASE("registered buffers are made where a loop runs") {
  const auto before = rondo_test::live_blocks();
  CHECK_THROWS_AS(registered_buffers(1, 16), std::logic_error);
  CHECK(rondo_test::live_blocks() == before);
}

LOOP_TEST("registered buffers are known to the kernel until nobody has them any more") {
  if (on_epoll()) co_return;
  // What was registered in an earlier test is given back by now; Linux 6.1 takes a second.
  co_await until([] { return pinned() == 0; });
  const std::size_t size = 64 << 10;
  registered_buffers kept(1, size);
  CHECK(pinned() == 64);
  std::optional<registered_buffers> more(std::in_place, 2, size);
  CHECK(pinned() == 192);
  {
    const registered_buffer one = (*more)[1];
    more.reset();
    CHECK(pinned() == 192);
    std::memset(one.data(), 'x', one.size());
  }
  co_await until([] { return pinned() == 64; });
  kept = registered_buffers(1, 4096);
  co_await until([] { return pinned() == 4; });
}

LOOP_TEST("registered buffers are ordinary memory to every operation") {
  const digits d;
  file f = file::adopt(::dup(d.fd()));
  const registered_buffers buffers(2, 4);
  const std::size_t n = co_await f.read_at(buffers[1], 3);
  CHECK(std::string_view(buffers[1].data(), n) == "3456");
  co_await f.write_at(buffers[1].first(2), 8);
  CHECK(text_in(d.path) == "0123456734");
  const pipe_ends pipe;
  const std::size_t written = co_await io::write(pipe.in(), buffers[1]);
  CHECK(written == 4);
  const std::size_t read = co_await io::read(pipe.out(), buffers[0].after(1));
  CHECK(read == 3);
  CHECK(std::string_view(buffers[0].data() + 1, 3) == "345");
}

LOOP_TEST("a loop registers very many one after the other") {
  for (std::size_t i = 0; i <= registered_buffers::max_objects; ++i) {
    const registered_buffers buffers(1, 16);
    std::strcpy(buffers[0].data(), "there");
  }
  co_return;
}

LOOP_TEST("what does not fit into the loop's table is refused with words, until there is room") {
  std::vector<registered_buffers> all;
  for (std::size_t i = 0; i < registered_buffers::max_objects; ++i) all.emplace_back(1, 16);
  const bool limited = !on_epoll();
  std::error_code code;
  try {
    all.emplace_back(1, 16);
  } catch (const std::system_error& e) {
    code = e.code();
    CHECK(contains(e.what(), "the loop has 512 of them; put more buffers in each"));
  }
  CHECK((code == std::errc::no_space_on_device) == limited);
  // The one that is made now takes the place of another.
  all.erase(all.begin() + 300);
  if (!limited) all.pop_back();
  all.emplace_back(1, 16);
  const digits d;
  for (std::size_t i = 0; i < all.size(); i += 17) {
    const std::size_t n = co_await io::read_fixed(d.fd(), all[i][0], 0);
    CHECK(std::string_view(all[i][0].data(), n) == "0123456789");
  }
  const std::size_t n = co_await io::read_fixed(d.fd(), all.back()[0], 5);
  CHECK(std::string_view(all.back()[0].data(), n) == "56789");
}

ON_BOTH_RINGS("without memory that may be locked, registered buffers say what to do", {
  // The kernel does not count what root locks.
  if (::getuid() != 0) SKIP("needs root, to become somebody else");
  const int status = in_child([]() -> int {
    const rlimit little{256 << 10, 256 << 10};
    if (::setrlimit(RLIMIT_MEMLOCK, &little) != 0 || ::setgroups(0, nullptr) != 0 ||
        ::setgid(65534) != 0 || ::setuid(65534) != 0) {
      return 2;
    }
    return rondo::run([]() -> task<int> {
      const std::size_t size = 1 << 20;
      const std::string words = refusal(4, size);
      const std::string right =
          on_epoll() ? "made"
                     : "registered_buffers: no memory for 4 of 1048576 bytes: the limit on locked "
                       "memory is too low. Raise it (ulimit -l, LimitMEMLOCK= in a systemd unit, "
                       "--ulimit memlock= for docker run) or ask for less: " +
                           std::generic_category().message(ENOMEM);
      if (words != right) co_return 3;
      // What was refused has taken no place.
      for (std::size_t i = 0; i < registered_buffers::max_objects; ++i) refusal(4, size);
      const registered_buffers little_of_it(4, 4096);
      const pipe_ends pipe;
      co_await io::write_fixed(pipe.in(), little_of_it[3]);
      const std::size_t n = co_await io::read_fixed(pipe.out(), little_of_it[0]);
      co_return n == 4096 ? 0 : 4;
    }());
  });
  CAPTURE(status);
  CHECK(exited_with(status, 0));
})

LOOP_TEST("registered buffers that could not be made leave nothing behind") {
  if (on_epoll()) co_return;  // which refuses none
  co_await until([] { return pinned() == 0; });
  std::vector<registered_buffers> all;
  for (std::size_t i = 0; i < registered_buffers::max_objects; ++i) all.emplace_back(1, 4096);
  const auto before = rondo_test::live_blocks();
  const long pages = pinned();
  CHECK(pages == 4 * static_cast<long>(all.size()));
  const long size = in_memory();
  for (int i = 0; i < 10; ++i) refusal(1, std::size_t{1} << 20);  // the table is full
  const auto after = rondo_test::live_blocks();
  CHECK(after == before);
  CHECK(pinned() == pages);
  CHECK(in_memory() - size < 1024);
}

ON_BOTH_RINGS("registered buffers that outlive their loop are ordinary memory", {
  std::optional<registered_buffers> buffers;
  const auto make = [&]() -> task<> {
    buffers.emplace(2, 10);
    co_return;
  };
  const auto use = [&]() -> task<> {
    const digits d;
    const std::size_t n = co_await io::read_fixed(d.fd(), (*buffers)[1], 0);
    CHECK(std::string_view((*buffers)[1].data(), n) == "0123456789");
    co_await io::write_fixed(d.fd(), (*buffers)[1].after(5), 0);
    CHECK(text_in(d.path) == "5678956789");
  };
  rondo::run(make());
  rondo::run(use());
  buffers.reset();
})

ON_BOTH_RINGS("registered buffers are ordinary memory to a loop that did not make them", {
  event_loop one;
  event_loop two;
  std::optional<registered_buffers> of_one;
  std::optional<registered_buffers> of_two;
  const auto make = [](std::optional<registered_buffers>& buffers) -> task<> {
    buffers.emplace(2, 10);
    co_return;
  };
  const auto use = [](registered_buffers& buffers) -> task<> {
    const digits d;
    const std::size_t n = co_await io::read_fixed(d.fd(), buffers[1], 0);
    CHECK(std::string_view(buffers[1].data(), n) == "0123456789");
    co_await io::write_fixed(d.fd(), buffers[1].after(9), 0);
    CHECK(text_in(d.path) == "9123456789");
  };
  one.run(make(of_one));
  two.run(make(of_two));
  one.run(use(*of_two));
  two.run(use(*of_one));
  two.run(use(*of_two));
})
