// SPDX-License-Identifier: BSL-1.0

#include <rondo/fs/file_info.hpp>

#include <sys/stat.h>

#include <chrono>
#include <string>

#include "io/operations.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::file;
using rondo::file_info;
using std::filesystem::file_type;
using std::filesystem::perms;

LOOP_TEST("the status of a file tells its size, kind, permissions and times") {
  const digits d;
  REQUIRE(::chmod(d.path.c_str(), 0640) == 0);
  const timespec times[] = {{1'000'000'000, 5}, {1'234'567'890, 123'456'789}};
  REQUIRE(::utimensat(AT_FDCWD, d.path.c_str(), times, 0) == 0);
  const file_info info = co_await rondo::file_status(d.path);
  CHECK(info.size() == 10);
  CHECK(info.allocated() % 512 == 0);
  CHECK(info.type() == file_type::regular);
  CHECK(info.is_regular_file());
  CHECK_FALSE(info.is_directory());
  CHECK_FALSE(info.is_symlink());
  CHECK(info.permissions() == (perms::owner_read | perms::owner_write | perms::group_read));
  CHECK(info.modified().time_since_epoch() == 1'234'567'890s + 123'456'789ns);
  CHECK(info.accessed().time_since_epoch() == 1'000'000'000s + 5ns);
  CHECK(std::chrono::system_clock::now() - info.status_changed() < 1h);
  CHECK(info.owner() == ::geteuid());
  CHECK(info.links() == 1);
}

LOOP_TEST("each kind of file is told") {
  const temporary_folder folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  const file_info directory = co_await rondo::file_status(folder / "");
  const file_info fifo = co_await rondo::file_status(folder / "fifo");
  const file_info device = co_await rondo::file_status("/dev/null");
  file socket = file::adopt(sockets().a.release());
  const file_info of_socket = co_await socket.status();
  CHECK(directory.type() == file_type::directory);
  CHECK(directory.is_directory());
  CHECK(fifo.type() == file_type::fifo);
  CHECK(device.type() == file_type::character);
  CHECK(of_socket.type() == file_type::socket);
}

LOOP_TEST("file_status goes through a link, symlink_status does not") {
  const digits d;
  const std::string link = d.folder / "link";
  REQUIRE(::symlink("digits", link.c_str()) == 0);
  const file_info through = co_await rondo::file_status(link);
  const file_info itself = co_await rondo::symlink_status(link);
  const file_info target = co_await rondo::file_status(d.path);
  CHECK(through.is_regular_file());
  CHECK(through.same_file(target));
  CHECK(itself.is_symlink());
  CHECK(itself.type() == file_type::symlink);
  CHECK(itself.size() == 6);
  CHECK_FALSE(itself.same_file(target));
}

LOOP_TEST("the status of an open file is that of the file, whatever its name is by now") {
  const digits d;
  file f = co_await file::open(d.path);
  REQUIRE(::unlink(d.path.c_str()) == 0);
  const file_info info = co_await f.status();
  CHECK(info.size() == 10);
  CHECK(info.links() == 0);
  CHECK(info.native().stx_size == 10);
}

LOOP_TEST("the status of what is not there is an error that names the path") {
  const temporary_folder folder;
  const std::string missing = folder / "missing";
  const std::string words = co_await words_of(rondo::file_status(missing));
  CHECK(words == "stat " + missing + ": " + std::system_category().message(ENOENT));
  REQUIRE(::symlink("nowhere", missing.c_str()) == 0);
  const std::error_code dangling = co_await code_of(rondo::file_status(missing));
  const std::error_code itself = co_await code_of(rondo::symlink_status(missing));
  CHECK(dangling == std::errc::no_such_file_or_directory);
  CHECK(itself == std::error_code());
}

LOOP_TEST("a status is refused in a canceled scope") {
  const std::error_code code = co_await in_canceled_scope(rondo::file_status("/"));
  CHECK(code == rondo::errc::canceled);
}
