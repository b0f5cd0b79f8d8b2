// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/file.hpp>

#include <sys/stat.h>

#include <string>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

namespace {

/// A file of ten digits, open for reading and writing.
struct digits {
  temporary_folder folder;
  std::string path = folder / "digits";
  rondo::descriptor file{::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)};
  digits() {
    if (::write(fd(), "0123456789", 10) != 10 || ::lseek(fd(), 0, SEEK_SET) != 0) {
      throw std::runtime_error("no file of digits");
    }
  }
  [[nodiscard]] int fd() const { return file.native_handle(); }
};

}  // namespace

// read, readv

LOOP_TEST("read gives how many bytes came, from the current position") {
  const digits d;
  char bytes[4];
  const std::size_t first = co_await io::read(d.fd(), bytes);
  CHECK(std::string(bytes, first) == "0123");
  const std::size_t second = co_await io::read(d.fd(), bytes);
  CHECK(std::string(bytes, second) == "4567");
  const std::size_t third = co_await io::read(d.fd(), bytes);
  CHECK(std::string(bytes, third) == "89");
  const std::size_t end = co_await io::read(d.fd(), bytes);
  CHECK(end == 0);
}

LOOP_TEST("read at an offset does not move the position") {
  const digits d;
  char bytes[3];
  const std::size_t there = co_await io::read(d.fd(), bytes, 5);
  CHECK(std::string(bytes, there) == "567");
  const std::size_t beyond = co_await io::read(d.fd(), bytes, 1000);
  CHECK(beyond == 0);
  const std::size_t here = co_await io::read(d.fd(), bytes);
  CHECK(std::string(bytes, here) == "012");
}

LOOP_TEST("read at an offset that no file has is an error") {
  const digits d;
  char bytes[3];
  const std::error_code negative = co_await code_of(io::read(d.fd(), bytes, -2));
  CHECK(negative == std::errc::invalid_argument);
  CHECK(::lseek(d.fd(), 0, SEEK_CUR) == 0);
}

LOOP_TEST("a read that waits gets what is written, and the end when the writer has gone") {
  pipe_ends pipe;
  char bytes[10];
  auto reading = rondo::spawn(
      [](int fd, char* to) -> task<std::size_t> {
        co_return co_await io::read(fd, rondo::mutable_buffer(to, 10));
      },
      pipe.out(), bytes);
  co_await round_trip();
  CHECK_FALSE(reading.done());
  REQUIRE(::write(pipe.in(), "abc", 3) == 3);
  const std::size_t n = co_await reading;
  CHECK(std::string(bytes, n) == "abc");
  pipe.writer = rondo::descriptor();
  const std::size_t end = co_await io::read(pipe.out(), bytes);
  CHECK(end == 0);
}

LOOP_TEST(
    "a read that is canceled in flight ends as canceled, and takes no byte that comes later") {
  pipe_ends pipe;
  char byte = 'o';
  const std::error_code code =
      co_await canceled_in_flight(io::read(pipe.out(), rondo::mutable_buffer(&byte, 1)));
  CHECK(code == rondo::errc::canceled);
  REQUIRE(::write(pipe.in(), "x", 1) == 1);
  co_await round_trip();
  CHECK(byte == 'o');
  CHECK(waiting_in(pipe.out()) == "x");
}

LOOP_TEST("readv fills one buffer after the other") {
  const digits d;
  char a[3];
  char b[4];
  const iovec parts[] = {{a, sizeof a}, {b, sizeof b}};
  const std::size_t n = co_await io::readv(d.fd(), parts, 2);
  CHECK(n == 7);
  CHECK(std::string(a, 3) + "|" + std::string(b, 4) == "012|3456");
  const std::size_t at = co_await io::readv(d.fd(), parts, 2, 8);
  CHECK(at == 2);
  CHECK(std::string(a, 2) == "89");
}

LOOP_TEST("a readv that is canceled in flight ends as canceled") {
  pipe_ends pipe;
  char byte;
  const iovec part{&byte, 1};
  const std::error_code code = co_await canceled_in_flight(io::readv(pipe.out(), &part, 1));
  CHECK(code == rondo::errc::canceled);
}

// write, writev

LOOP_TEST("write gives how many bytes went, at the current position or at an offset") {
  const digits d;
  const std::size_t first = co_await io::write(d.fd(), "ab");
  const std::size_t second = co_await io::write(d.fd(), "cd");
  const std::size_t there = co_await io::write(d.fd(), "xy", 6);
  CHECK(first == 2);
  CHECK(second == 2);
  CHECK(there == 2);
  std::string all(10, '\0');
  const std::size_t n = co_await io::read(d.fd(), all, 0);
  CHECK(n == 10);
  CHECK(all == "abcd45xy89");
}

LOOP_TEST("write keeps an owner that is given away until the kernel has read it") {
  pipe_ends pipe;
  const std::string longer(5000, 'l');
  const std::vector<char> bytes(3, 'v');
  co_await io::write(pipe.in(), std::string("short"));
  co_await io::write(pipe.in(), std::string(longer));
  co_await io::write(pipe.in(), std::vector<char>(bytes));
  CHECK(waiting_in(pipe.out()) == "short" + longer + "vvv");
}

LOOP_TEST("writing to a full disk is an error") {
  const rondo::descriptor full = co_await io::openat(AT_FDCWD, "/dev/full", O_WRONLY);
  const std::string words = co_await words_of(io::write(full.native_handle(), "x"));
  CHECK(words == "write: " + std::system_category().message(ENOSPC));
}

LOOP_TEST("writing to a pipe that nobody reads is an error") {
  pipe_ends pipe;
  pipe.reader = rondo::descriptor();
  const std::error_code one = co_await code_of(io::write(pipe.in(), "x"));
  char byte = 'x';
  const iovec part{&byte, 1};
  const std::error_code many = co_await code_of(io::writev(pipe.in(), &part, 1));
  CHECK(one == std::errc::broken_pipe);
  CHECK(many == std::errc::broken_pipe);
}

LOOP_TEST("a write that is canceled while there is no room ends as canceled, and wrote nothing") {
  pipe_ends pipe(4096);
  const std::size_t filled = pipe.fill();
  const std::error_code code = co_await canceled_in_flight(io::write(pipe.in(), "late"));
  CHECK(code == rondo::errc::canceled);
  CHECK(waiting_in(pipe.out()) == std::string(filled, '\0'));
  co_await round_trip();
  CHECK(waiting_in(pipe.out()).empty());
}

LOOP_TEST("writev writes one buffer after the other") {
  const digits d;
  char a[] = {'A', 'B'};
  char b[] = {'C', 'D', 'E'};
  const iovec parts[] = {{a, sizeof a}, {b, sizeof b}};
  const std::size_t n = co_await io::writev(d.fd(), parts, 2, 1);
  CHECK(n == 5);
  std::string all(10, '\0');
  const std::size_t read = co_await io::read(d.fd(), all, 0);
  CHECK(read == 10);
  CHECK(all == "0ABCDE6789");
}

LOOP_TEST("a writev that is canceled while there is no room ends as canceled") {
  pipe_ends pipe(4096);
  pipe.fill();
  char byte = 'x';
  const iovec part{&byte, 1};
  const std::error_code code = co_await canceled_in_flight(io::writev(pipe.in(), &part, 1));
  CHECK(code == rondo::errc::canceled);
}

// openat

LOOP_TEST("openat opens, with the mode for a file that it makes, and closes on exec") {
  const temporary_folder folder;
  const std::string path = folder / "new";
  const mode_t mask = ::umask(0);
  const rondo::descriptor made = co_await io::openat(AT_FDCWD, path, O_CREAT | O_WRONLY, 0640);
  ::umask(mask);
  struct stat status {};
  REQUIRE(::fstat(made.native_handle(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  CHECK((::fcntl(made.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(made.native_handle(), F_GETFL) & O_ACCMODE) == O_WRONLY);
}

LOOP_TEST("openat takes a name in a folder that is open") {
  const digits d;
  const rondo::descriptor folder =
      co_await io::openat(AT_FDCWD, d.folder / "", O_RDONLY | O_DIRECTORY);
  const rondo::descriptor file = co_await io::openat(folder.native_handle(), "digits", O_RDONLY);
  char bytes[2];
  const std::size_t n = co_await io::read(file.native_handle(), bytes);
  CHECK(std::string(bytes, n) == "01");
}

LOOP_TEST("openat of what cannot be opened says which path") {
  const temporary_folder folder;
  const std::string missing = folder / "missing";
  const std::string words = co_await words_of(io::openat(AT_FDCWD, missing, O_RDONLY));
  CHECK(words == "open " + missing + ": " + std::system_category().message(ENOENT));
}

LOOP_TEST("an openat that waits for the other end of a FIFO is canceled") {
  const temporary_folder folder;
  const std::string path = folder / "fifo";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const auto before = rondo_test::open_descriptors();
  // Without O_CREAT the kernel tries to open it without waiting, which a FIFO allows to readers.
  // With it, a thread of the kernel opens it, and is told before it begins or while it waits.
  for (const auto delay : {0ms, 1ms, 30ms}) {
    auto opening = rondo::spawn(code_of(io::openat(AT_FDCWD, path, O_RDONLY | O_CREAT)));
    co_await round_trip();
    co_await rondo::sleep_for(delay);
    CHECK_FALSE(opening.done());
    opening.cancel();
    const std::error_code code = co_await opening;
    CHECK(code == rondo::errc::canceled);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("an openat that is canceled as it completes delivers its descriptor or closes it") {
  const auto before = rondo_test::open_descriptors();
  int delivered = 0;
  for (int i = 0; i < 200; ++i) {
    auto opening = rondo::spawn([]() -> task<rondo::descriptor> {
      co_return co_await io::openat(AT_FDCWD, "/dev/null", O_RDONLY);
    });
    co_await rondo::yield();
    if (i % 2 != 0) co_await rondo::yield();
    if (i % 20 == 0) co_await rondo::sleep_for(2ms);  // where a thread opens it
    opening.cancel();
    try {
      const rondo::descriptor file = co_await opening;
      CHECK(::fcntl(file.native_handle(), F_GETFD) == FD_CLOEXEC);
      ++delivered;
    } catch (const rondo::operation_canceled&) {
    }
  }
  CHECK(delivered > 0);
  CHECK(rondo_test::open_descriptors() == before);
}

// close

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

// fsync, fallocate, statx

LOOP_TEST("fsync of a file returns, of a pipe it is an error") {
  const digits d;
  const pipe_ends pipe;
  co_await io::fsync(d.fd());
  co_await io::fsync(d.fd(), IORING_FSYNC_DATASYNC);
  const std::string words = co_await words_of(io::fsync(pipe.in()));
  CHECK(words == "fsync: " + std::system_category().message(EINVAL));
}

LOOP_TEST("fallocate makes room, and the file grows unless told not to") {
  const digits d;
  struct stat status {};
  co_await io::fallocate(d.fd(), FALLOC_FL_KEEP_SIZE, 0, 4096);
  REQUIRE(::fstat(d.fd(), &status) == 0);
  CHECK(status.st_size == 10);
  co_await io::fallocate(d.fd(), 0, 0, 8192);
  REQUIRE(::fstat(d.fd(), &status) == 0);
  CHECK(status.st_size == 8192);
  const std::string words = co_await words_of(io::fallocate(d.fd(), 0, 0, 0));
  CHECK(words == "fallocate: " + std::system_category().message(EINVAL));
}

LOOP_TEST("statx tells about a path, about a link itself, and about an open file") {
  const digits d;
  const std::string link = d.folder / "link";
  REQUIRE(::symlink("digits", link.c_str()) == 0);
  const struct statx file = co_await io::statx(AT_FDCWD, d.path);
  const struct statx through = co_await io::statx(AT_FDCWD, link);
  const struct statx itself = co_await io::statx(AT_FDCWD, link, AT_SYMLINK_NOFOLLOW);
  const struct statx open = co_await io::statx(d.fd(), "", AT_EMPTY_PATH, STATX_SIZE);
  CHECK(file.stx_size == 10);
  CHECK(S_ISREG(file.stx_mode));
  CHECK(through.stx_ino == file.stx_ino);
  CHECK(S_ISLNK(itself.stx_mode));
  CHECK(open.stx_size == 10);
}

LOOP_TEST("statx of what is not there says which path") {
  const temporary_folder folder;
  const std::string missing = folder / "missing";
  const std::string words = co_await words_of(io::statx(AT_FDCWD, missing));
  CHECK(words == "stat " + missing + ": " + std::system_category().message(ENOENT));
}

LOOP_TEST(
    "operations that hardly ever wait end with a value or as canceled, whenever they are "
    "canceled") {
  const digits d;
  const auto canceled_soon = [](auto operation, int turns) -> task<bool> {
    auto running = rondo::spawn(code_of(std::move(operation)));
    for (int i = 0; i < turns; ++i) co_await rondo::yield();
    running.cancel();
    const std::error_code code = co_await running;
    co_return !code || code == rondo::errc::canceled;
  };
  for (int turns = 0; turns < 6; ++turns) {
    INFO(turns);
    const bool synced = co_await canceled_soon(io::fsync(d.fd()), turns);
    const bool allocated = co_await canceled_soon(io::fallocate(d.fd(), 0, 0, 10), turns);
    const bool asked = co_await canceled_soon(io::statx(AT_FDCWD, d.path), turns);
    CHECK(synced);
    CHECK(allocated);
    CHECK(asked);
  }
}
