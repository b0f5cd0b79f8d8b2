// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/fixed.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"

using namespace rondo::test;
using rondo::registered_buffer;
using rondo::registered_buffers;
using rondo::task;
namespace io = rondo::io;

namespace {

std::string_view text(const registered_buffer& b, std::size_t size) { return {b.data(), size}; }
void write_into(const registered_buffer& b, std::string_view words) {
  std::memcpy(b.data(), words.data(), words.size());
}

/// Nobody but the operation has the memory.
template <typename Op>
task<std::size_t> count_of(Op op) {
  co_return co_await std::move(op);
}

/// Whether there is memory at an address of this process.
bool is_there(void* page) {
  unsigned char resident = 0;
  return ::mincore(page, 1, &resident) == 0;
}

/// Sees what is handed over, and changes nothing.
class onlooker final : public rondo::detail::interference {
 public:
  struct seen {
    unsigned opcode;
    unsigned ioprio;
    unsigned index;
  };
  std::vector<seen> all;

  [[nodiscard]] bool few_completions() noexcept override { return false; }
  unsigned room(unsigned entries) noexcept override { return entries; }
  int refusal() noexcept override { return 0; }
  void handed_over(io_uring_sqe& e) noexcept override {
    all.push_back({e.opcode, e.ioprio, e.buf_index});
  }
  void arrived(const answer& a) noexcept override { kept_.push_back(a); }
  void begin_giving_out() noexcept override {}
  bool next(answer& a) noexcept override {
    if (kept_.empty()) return false;
    a = kept_.front();
    kept_.erase(kept_.begin());
    return true;
  }
  [[nodiscard]] bool keeps_some() const noexcept override { return false; }
  bool heads() noexcept override { return true; }
  unsigned share() noexcept override { return 64; }

  [[nodiscard]] const seen* find(unsigned opcode) const {
    const auto at = std::find_if(all.begin(), all.end(),
                                 [opcode](const seen& s) { return s.opcode == opcode; });
    return at != all.end() ? &*at : nullptr;
  }

 private:
  std::vector<answer> kept_;
};

}  // namespace

LOOP_TEST("read_fixed and write_fixed do what read and write do") {
  const digits d;
  const registered_buffers buffers(3, 4);
  const std::size_t there = co_await io::read_fixed(d.fd(), buffers[1], 5);
  CHECK(text(buffers[1], there) == "5678");
  const std::size_t here = co_await io::read_fixed(d.fd(), buffers[0]);
  CHECK(text(buffers[0], here) == "0123");
  const std::size_t written = co_await io::write_fixed(d.fd(), buffers[1]);
  CHECK(written == 4);
  const std::size_t part = co_await io::write_fixed(d.fd(), buffers[0].after(2), 0);
  CHECK(part == 2);
  CHECK(text_in(d.path) == "2323567889");
  const std::size_t short_one = co_await io::read_fixed(d.fd(), buffers[2]);
  CHECK(text(buffers[2], short_one) == "89");
  const std::size_t end = co_await io::read_fixed(d.fd(), buffers[2]);
  CHECK(end == 0);
}

LOOP_TEST("read_fixed fills no more than its part of the memory") {
  const digits d;
  const registered_buffers buffers(1, 10);
  std::memset(buffers[0].data(), '-', 10);
  const std::size_t n = co_await io::read_fixed(d.fd(), buffers[0].after(2).first(3), 4);
  CHECK(n == 3);
  CHECK(text(buffers[0], 10) == "--456-----");
  const std::size_t none = co_await io::read_fixed(d.fd(), buffers[0].first(0), 4);
  CHECK(none == 0);
  const std::size_t nothing = co_await io::write_fixed(d.fd(), buffers[0].after(10), 4);
  CHECK(nothing == 0);
  CHECK(text(buffers[0], 10) == "--456-----");
  CHECK(text_in(d.path) == "0123456789");
}

LOOP_TEST("a registered buffer that was moved from may still be used") {
  const digits d;
  const registered_buffers buffers(1, 4);
  registered_buffer from = buffers[0];
  const registered_buffer to = std::move(from);
  const std::size_t n = co_await io::read_fixed(d.fd(), from, 2);
  CHECK(text(to, n) == "2345");
}

LOOP_TEST("several objects are used at the same time") {
  const digits d;
  std::vector<registered_buffers> all;
  for (int i = 0; i < 5; ++i) all.emplace_back(2, 4);
  std::vector<task<std::size_t>> reads;
  const auto read = [](int fd, registered_buffer to, int offset) -> task<std::size_t> {
    co_return co_await io::read_fixed(fd, to, offset);
  };
  for (int i = 0; i < 5; ++i) {
    for (std::size_t k = 0; k < 2; ++k) {
      reads.push_back(read(d.fd(), all[static_cast<std::size_t>(i)][k], i + static_cast<int>(k)));
    }
  }
  co_await rondo::when_all(std::move(reads));
  std::string got;
  for (const registered_buffers& each : all) {
    got += text(each[0], 4);
    got += text(each[1], 4);
  }
  CHECK(got == "0123" "1234" "1234" "2345" "2345" "3456" "3456" "4567" "4567" "5678");
}

ON_BOTH_RINGS("memory is named by its index to io_uring, and by its address to epoll", {
  const auto seen = std::make_shared<onlooker>();
  rondo::loop_options options;
  options.interference = seen;
  const auto work = [&]() -> task<> {
    const registered_buffers other(1, 4);
    const registered_buffers buffers(2, 4);
    const digits d;
    co_await io::read_fixed(d.fd(), buffers[1], 0);
    co_await io::write_fixed(d.fd(), buffers[1], 0);
    tcp_ends ends = co_await tcp_pair();
    co_await io::send_zc_fixed(ends.a.native_handle(), buffers[1]);
    const bool known = !on_epoll();
    const onlooker::seen* const read = seen->find(known ? IORING_OP_READ_FIXED : IORING_OP_READ);
    const onlooker::seen* const write =
        seen->find(known ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE);
    const onlooker::seen* const send = seen->find(IORING_OP_SEND_ZC);
    REQUIRE(read != nullptr);
    REQUIRE(write != nullptr);
    REQUIRE(send != nullptr);
    const unsigned index = known ? 1 : 0;
    CHECK(read->index == index);
    CHECK(write->index == index);
    CHECK(send->index == index);
    CHECK(send->ioprio == (known ? IORING_RECVSEND_FIXED_BUF : 0U));
  };
  rondo::run(work(), options);
})

LOOP_TEST("a read_fixed that waits gets what is written, and the end when the writer has gone") {
  pipe_ends pipe;
  const registered_buffers buffers(1, 10);
  auto reading = rondo::spawn(count_of(io::read_fixed(pipe.out(), buffers[0])));
  co_await round_trip();
  CHECK_FALSE(reading.done());
  REQUIRE(::write(pipe.in(), "abc", 3) == 3);
  const std::size_t n = co_await reading;
  CHECK(text(buffers[0], n) == "abc");
  pipe.writer = rondo::descriptor();
  const std::size_t end = co_await io::read_fixed(pipe.out(), buffers[0]);
  CHECK(end == 0);
}

LOOP_TEST("a read_fixed that is canceled in flight takes no byte that comes later") {
  const pipe_ends pipe;
  const registered_buffers buffers(1, 1);
  write_into(buffers[0], "o");
  const std::error_code code =
      co_await canceled_in_flight(io::read_fixed(pipe.out(), buffers[0]));
  CHECK(code == rondo::errc::canceled);
  REQUIRE(::write(pipe.in(), "x", 1) == 1);
  co_await round_trip();
  CHECK(text(buffers[0], 1) == "o");
  CHECK(waiting_in(pipe.out()) == "x");
}

LOOP_TEST("a write_fixed that is canceled while there is no room wrote nothing") {
  const pipe_ends pipe(4096);
  const std::size_t filled = pipe.fill();
  const registered_buffers buffers(1, 4);
  const std::error_code code =
      co_await canceled_in_flight(io::write_fixed(pipe.in(), buffers[0]));
  CHECK(code == rondo::errc::canceled);
  CHECK(waiting_in(pipe.out()) == std::string(filled, '\0'));
  co_await round_trip();
  CHECK(waiting_in(pipe.out()).empty());
}

LOOP_TEST("in a canceled scope nothing with registered memory is begun") {
  const digits d;
  const registered_buffers buffers(1, 4);
  write_into(buffers[0], "keep");
  const std::error_code read = co_await in_canceled_scope(io::read_fixed(d.fd(), buffers[0], 0));
  const std::error_code write = co_await in_canceled_scope(io::write_fixed(d.fd(), buffers[0], 0));
  CHECK(read == rondo::errc::canceled);
  CHECK(write == rondo::errc::canceled);
  CHECK(text(buffers[0], 4) == "keep");
  CHECK(text_in(d.path) == "0123456789");
}

LOOP_TEST("what somebody closes under a read_fixed ends it as closed") {
  pipe_ends pipe;
  const registered_buffers buffers(1, 4);
  auto reading = rondo::spawn(code_of(io::read_fixed(pipe.out(), buffers[0])));
  co_await round_trip();
  co_await io::close(std::move(pipe.reader));
  const std::error_code code = co_await reading;
  CHECK(code == rondo::errc::closed);
}

LOOP_TEST("errors of operations with registered memory say what was tried") {
  const registered_buffers buffers(1, 4);
  const std::string read = co_await words_of(io::read_fixed(-1, buffers[0]));
  CHECK(read == "read: " + std::system_category().message(EBADF));
  const rondo::descriptor full = co_await io::openat(AT_FDCWD, "/dev/full", O_WRONLY);
  const std::string write = co_await words_of(io::write_fixed(full.native_handle(), buffers[0]));
  CHECK(write == "write: " + std::system_category().message(ENOSPC));
  const sockets pair;
  const std::string send = co_await words_of(io::send_zc_fixed(pair.a.native_handle(), buffers[0]));
  CHECK(send == "send: " + std::system_category().message(EOPNOTSUPP));
  const digits d;
  const std::error_code negative = co_await code_of(io::read_fixed(d.fd(), buffers[0], -2));
  CHECK(negative == std::errc::invalid_argument);
}

LOOP_TEST("buffers that are dropped while the kernel reads into them are there until it has done") {
  for (const bool canceled : {false, true}) {
    const pipe_ends pipe;
    std::optional<registered_buffers> buffers(std::in_place, 2, 4096);
    char* const page = (*buffers)[1].data();
    auto reading = rondo::spawn(code_of(io::read_fixed(pipe.out(), (*buffers)[1])));
    co_await round_trip();
    if (canceled) {
      reading.cancel();
      buffers.reset();
    } else {
      buffers.reset();
      co_await round_trip();
      REQUIRE(::write(pipe.in(), "late", 4) == 4);
    }
    CHECK(is_there(page));
    const std::error_code code = co_await reading;
    CHECK((code == rondo::errc::canceled) == canceled);
    CHECK((code == std::error_code()) == !canceled);
    CHECK_FALSE(is_there(page));
  }
}

LOOP_TEST("buffers that are dropped while the kernel writes from them are written") {
  const pipe_ends pipe(4096);
  const std::size_t filled = pipe.fill();
  std::optional<registered_buffers> buffers(std::in_place, 1, 4096);
  char* const page = (*buffers)[0].data();
  write_into((*buffers)[0], "dropped, and written all the same");
  auto writing = rondo::spawn(count_of(io::write_fixed(pipe.in(), (*buffers)[0].first(33))));
  co_await round_trip();
  CHECK_FALSE(writing.done());
  buffers.reset();
  // The place of the old ones is taken by others, and must not be what is written.
  const registered_buffers others(1, 4096);
  write_into(others[0], "something that nobody wants to see");
  CHECK(waiting_in(pipe.out()).size() == filled);
  const std::size_t n = co_await writing;
  CHECK_FALSE(is_there(page));
  CHECK(n == 33);
  CHECK(waiting_in(pipe.out()) == "dropped, and written all the same");
}

LOOP_TEST("an operation with registered memory that is dropped and not awaited does nothing") {
  const digits d;
  char* page = nullptr;
  {
    registered_buffers buffers(1, 4);
    page = buffers[0].data();
    auto never = io::write_fixed(d.fd(), buffers[0], 0);
    const registered_buffers gone = std::move(buffers);
    static_cast<void>(never);
  }
  co_await round_trip();
  CHECK(text_in(d.path) == "0123456789");
  CHECK_FALSE(is_there(page));
}

LOOP_TEST("direct I/O goes to and from registered buffers") {
  const temporary_folder folder;
  const std::string path = folder / "file";
  rondo::file disk;
  try {
    using mode = rondo::open_mode;
    disk = co_await rondo::file::open(path, mode::read | mode::write | mode::create | mode::direct);
  } catch (const std::system_error& e) {
    if (e.code() != std::errc::invalid_argument) throw;
    WARN("not tested: the file system has no direct I/O");
    co_return;
  }
  const registered_buffers blocks(4, 4096);
  for (std::size_t i = 0; i < 3; ++i) {
    std::memset(blocks[i].data(), 'a' + static_cast<int>(i), 4096);
    const std::size_t n = co_await io::write_fixed(disk.native_handle(), blocks[i],
                                                   static_cast<std::int64_t>(i) * 4096);
    CHECK(n == 4096);
  }
  const std::size_t n = co_await io::read_fixed(disk.native_handle(), blocks[3], 4096);
  CHECK(text(blocks[3], n) == std::string(4096, 'b'));
}

LOOP_TEST("send_zc_fixed sends what there is, also when the buffers are dropped meanwhile") {
  tcp_ends ends = co_await tcp_pair();
  const int size = 4096;
  ::setsockopt(ends.a.native_handle(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  ::setsockopt(ends.b.native_handle(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  constexpr std::size_t all = 1 << 20;
  std::optional<registered_buffers> buffers(std::in_place, 1, all);
  char* const page = (*buffers)[0].data();
  std::string expected;
  for (std::size_t i = 0; i < all; ++i) expected += static_cast<char>(i % 251);
  write_into((*buffers)[0], expected);
  auto sending = rondo::spawn(
      [](auto op, int fd) -> task<std::size_t> {
        const std::size_t n = co_await std::move(op);
        ::shutdown(fd, SHUT_WR);
        co_return n;
      },
      io::send_zc_fixed(ends.a.native_handle(), (*buffers)[0]), ends.a.native_handle());
  co_await round_trip();
  CHECK_FALSE(sending.done());
  buffers.reset();
  CHECK(is_there(page));
  std::string received(all + 1, '\0');
  std::size_t arrived = 0;
  for (;;) {
    const std::size_t n =
        co_await ends.b.read(rondo::mutable_buffer(received).after(arrived));
    if (n == 0) break;
    arrived += n;
  }
  const std::size_t sent = co_await sending;
  CHECK_FALSE(is_there(page));
  CHECK(sent == arrived);
  const bool same = sent > 0 && received.compare(0, sent, expected, 0, sent) == 0;
  CHECK(same);
}

LOOP_TEST("operations with registered memory allocate nothing") {
  const pipe_ends pipe;
  const registered_buffers buffers(1, 4);
  tcp_ends ends = co_await tcp_pair();
  const auto round = [&]() -> task<> {
    for (int i = 0; i < 50; ++i) {
      co_await io::write_fixed(pipe.in(), buffers[0]);
      co_await io::read_fixed(pipe.out(), buffers[0].first(2));
      co_await io::read_fixed(pipe.out(), buffers[0].after(2));
      co_await io::send_zc_fixed(ends.a.native_handle(), buffers[0]);
      co_await io::recv(ends.b.native_handle(), buffers[0]);
    }
  };
  co_await round();
  auto again = round();
  const auto before = rondo_test::allocations();
  co_await std::move(again);
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}
