// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/file.hpp>

#include <sys/stat.h>

#include <string>

#include "io/operations.hpp"
#include "support/descriptors.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

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

LOOP_TEST("ftruncate cuts a file off, or fills it up with zeros") {
  const digits d;
  co_await io::ftruncate(d.fd(), 3);
  CHECK(text_in(d.path) == "012");
  co_await io::ftruncate(d.fd(), 5);
  CHECK(text_in(d.path) == std::string("012\0\0", 5));
  const std::string words = co_await words_of(io::ftruncate(d.fd(), -1));
  CHECK(words == "ftruncate: " + std::system_category().message(EINVAL));
}

LOOP_TEST("sync_file_range writes some bytes to the disk, and knows its flags") {
  const digits d;
  co_await io::sync_file_range(d.fd(), 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
  const std::string words = co_await words_of(io::sync_file_range(d.fd(), 0, 0, 1 << 20));
  CHECK(words == "sync_file_range: " + std::system_category().message(EINVAL));
  const pipe_ends pipe;
  const std::error_code code = co_await code_of(io::sync_file_range(pipe.in(), 0, 1, 0));
  CHECK(code == std::errc::invalid_seek);
}

LOOP_TEST("fadvise drops a file's pages from memory, and knows its advice") {
  const digits d;
  co_await io::fsync(d.fd());
  co_await io::fadvise(d.fd(), 0, 0, POSIX_FADV_DONTNEED);
  char byte;
  const iovec part{&byte, 1};
  // Not in memory any more, unless the file system keeps everything there.
  const ssize_t n = ::preadv2(d.fd(), &part, 1, 0, RWF_NOWAIT);
  const bool gone = n == 1 || (n == -1 && (errno == EAGAIN || errno == EOPNOTSUPP));
  CHECK(gone);
  const std::string words = co_await words_of(io::fadvise(d.fd(), 0, 0, 12345));
  CHECK(words == "fadvise: " + std::system_category().message(EINVAL));
}

LOOP_TEST("operations on a file end with a value or as canceled, whenever they are canceled") {
  const digits d;
  for (int turns = 0; turns < 6; ++turns) {
    INFO(turns);
    const bool synced = co_await canceled_soon(io::fsync(d.fd()), turns);
    const bool allocated = co_await canceled_soon(io::fallocate(d.fd(), 0, 0, 10), turns);
    const bool cut = co_await canceled_soon(io::ftruncate(d.fd(), 10), turns);
    const bool started = co_await canceled_soon(io::sync_file_range(d.fd(), 0, 0, 0), turns);
    const bool advised =
        co_await canceled_soon(io::fadvise(d.fd(), 0, 0, POSIX_FADV_WILLNEED), turns);
    CHECK(synced);
    CHECK(allocated);
    CHECK(cut);
    CHECK(started);
    CHECK(advised);
  }
}
