// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/path.hpp>

#include <sys/stat.h>

#include <string>

#include "io/operations.hpp"
#include "support/descriptors.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

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

// statx

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

// renameat, unlinkat, mkdirat, linkat, symlinkat

LOOP_TEST("renameat gives a file another name, and replaces what has it, unless told not to") {
  const digits d;
  const std::string other = d.folder / "other";
  co_await io::renameat(AT_FDCWD, d.path, AT_FDCWD, other);
  CHECK_FALSE(exists(d.path));
  CHECK(text_in(other) == "0123456789");
  put(d.path, "new");
  const std::error_code taken =
      co_await code_of(io::renameat(AT_FDCWD, d.path, AT_FDCWD, other, RENAME_NOREPLACE));
  CHECK(taken == std::errc::file_exists);
  co_await io::renameat(AT_FDCWD, d.path, AT_FDCWD, other);
  CHECK(text_in(other) == "new");
}

LOOP_TEST("renameat takes names in folders that are open") {
  const digits d;
  co_await io::mkdirat(AT_FDCWD, d.folder / "deep");
  const rondo::descriptor from =
      co_await io::openat(AT_FDCWD, d.folder / "", O_RDONLY | O_DIRECTORY);
  const rondo::descriptor to =
      co_await io::openat(AT_FDCWD, d.folder / "deep", O_RDONLY | O_DIRECTORY);
  co_await io::renameat(from.native_handle(), "digits", to.native_handle(), "there");
  CHECK(text_in(d.folder / "deep/there") == "0123456789");
}

LOOP_TEST("renameat of what is not there names both paths") {
  const temporary_folder folder;
  const std::string a = folder / "a";
  const std::string b = folder / "b";
  const std::string words = co_await words_of(io::renameat(AT_FDCWD, a, AT_FDCWD, b));
  CHECK(words == "rename " + a + " to " + b + ": " + std::system_category().message(ENOENT));
}

LOOP_TEST("unlinkat removes a file, and a directory only when told so") {
  const digits d;
  const std::string deep = d.folder / "deep";
  co_await io::mkdirat(AT_FDCWD, deep);
  co_await io::unlinkat(AT_FDCWD, d.path);
  CHECK_FALSE(exists(d.path));
  const std::error_code directory = co_await code_of(io::unlinkat(AT_FDCWD, deep));
  CHECK(directory == std::errc::is_a_directory);
  CHECK(exists(deep));
  co_await io::unlinkat(AT_FDCWD, deep, AT_REMOVEDIR);
  CHECK_FALSE(exists(deep));
  const std::string words = co_await words_of(io::unlinkat(AT_FDCWD, deep));
  CHECK(words == "remove " + deep + ": " + std::system_category().message(ENOENT));
}

LOOP_TEST("mkdirat makes a directory with the permissions given, once") {
  const temporary_folder folder;
  const std::string deep = folder / "deep";
  const mode_t mask = ::umask(0027);
  co_await io::mkdirat(AT_FDCWD, deep, 0777);
  ::umask(mask);
  struct stat status {};
  REQUIRE(::stat(deep.c_str(), &status) == 0);
  CHECK(S_ISDIR(status.st_mode));
  CHECK((status.st_mode & 0777) == 0750);
  const std::string words = co_await words_of(io::mkdirat(AT_FDCWD, deep));
  CHECK(words == "make directory " + deep + ": " + std::system_category().message(EEXIST));
}

LOOP_TEST("linkat gives a file a second name") {
  const digits d;
  const std::string second = d.folder / "second";
  co_await io::linkat(AT_FDCWD, d.path, AT_FDCWD, second);
  struct stat a {};
  struct stat b {};
  REQUIRE(::stat(d.path.c_str(), &a) == 0);
  REQUIRE(::stat(second.c_str(), &b) == 0);
  CHECK(a.st_ino == b.st_ino);
  CHECK(a.st_nlink == 2);
  const std::string words = co_await words_of(io::linkat(AT_FDCWD, d.path, AT_FDCWD, second));
  CHECK(words ==
        "link " + d.path + " to " + second + ": " + std::system_category().message(EEXIST));
}

LOOP_TEST("symlinkat makes a link that leads to its target") {
  const digits d;
  const std::string link = d.folder / "link";
  co_await io::symlinkat("digits", AT_FDCWD, link);
  CHECK(std::filesystem::read_symlink(link) == "digits");
  CHECK(text_in(link) == "0123456789");
  const std::string words = co_await words_of(io::symlinkat("digits", AT_FDCWD, link));
  CHECK(words == "make link " + link + ": " + std::system_category().message(EEXIST));
}

LOOP_TEST("paths that are given away live until the kernel has read them") {
  const temporary_folder folder;
  const auto make = [&] {
    return io::renameat(AT_FDCWD, folder / "a", AT_FDCWD,
                        std::filesystem::path(folder / std::string(100, 'b')));
  };
  put(folder / "a", "x");
  auto renaming = make();
  co_await std::move(renaming);
  CHECK(exists(folder / std::string(100, 'b')));
}

LOOP_TEST("operations on paths end with a value or as canceled, whenever they are canceled") {
  const temporary_folder folder;
  const std::string a = folder / "a";
  const std::string b = folder / "b";
  for (int turns = 0; turns < 6; ++turns) {
    INFO(turns);
    const bool asked = co_await canceled_soon(io::statx(AT_FDCWD, folder / ""), turns);
    const bool made = co_await canceled_soon(io::mkdirat(AT_FDCWD, a), turns);
    if (!exists(a)) co_await io::mkdirat(AT_FDCWD, a);
    const bool renamed = co_await canceled_soon(io::renameat(AT_FDCWD, a, AT_FDCWD, b), turns);
    if (!exists(b)) co_await io::renameat(AT_FDCWD, a, AT_FDCWD, b);
    const bool removed = co_await canceled_soon(io::unlinkat(AT_FDCWD, b, AT_REMOVEDIR), turns);
    if (exists(b)) co_await io::unlinkat(AT_FDCWD, b, AT_REMOVEDIR);
    const bool linked = co_await canceled_soon(io::symlinkat("x", AT_FDCWD, a), turns);
    if (!is_link(a)) co_await io::symlinkat("x", AT_FDCWD, a);
    const bool twice = co_await canceled_soon(io::linkat(AT_FDCWD, a, AT_FDCWD, b), turns);
    if (is_link(b)) co_await io::unlinkat(AT_FDCWD, b);
    co_await io::unlinkat(AT_FDCWD, a);
    CHECK(asked);
    CHECK(made);
    CHECK(renamed);
    CHECK(removed);
    CHECK(linked);
    CHECK(twice);
  }
}
