// SPDX-License-Identifier: BSL-1.0

#include <rondo/fs/path_operations.hpp>

#include <sys/stat.h>

#include <string>

#include "io/operations.hpp"

using namespace rondo::test;

LOOP_TEST("create_directory makes a directory, and says if there is one already") {
  const temporary_folder folder;
  const std::string deep = folder / "deep";
  const mode_t mask = ::umask(0022);
  const bool made = co_await rondo::create_directory(deep, 0770);
  ::umask(mask);
  const bool again = co_await rondo::create_directory(deep);
  CHECK(made);
  CHECK_FALSE(again);
  struct stat status {};
  REQUIRE(::stat(deep.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0750);
}

LOOP_TEST("create_directory takes a link to a directory for one") {
  const temporary_folder folder;
  REQUIRE(::symlink(".", (folder / "link").c_str()) == 0);
  const bool made = co_await rondo::create_directory(folder / "link");
  CHECK_FALSE(made);
}

LOOP_TEST("create_directory where something else is, or nothing above, is an error") {
  const digits d;
  const std::string words = co_await words_of(rondo::create_directory(d.path));
  CHECK(words == "make directory " + d.path + ": " + std::system_category().message(EEXIST));
  const std::string link = d.folder / "link";
  REQUIRE(::symlink("nowhere", link.c_str()) == 0);
  const std::error_code dangling = co_await code_of(rondo::create_directory(link));
  CHECK(dangling == std::errc::file_exists);
  const std::error_code missing = co_await code_of(rondo::create_directory(d.folder / "a/b"));
  CHECK(missing == std::errc::no_such_file_or_directory);
}

LOOP_TEST("remove_directory removes an empty one") {
  const temporary_folder folder;
  const std::string deep = folder / "deep";
  co_await rondo::create_directory(deep);
  put(folder / "deep/file", "x");
  const std::error_code full = co_await code_of(rondo::remove_directory(deep));
  CHECK(full == std::errc::directory_not_empty);
  co_await rondo::remove_file(folder / "deep/file");
  co_await rondo::remove_directory(deep);
  CHECK_FALSE(exists(deep));
}

LOOP_TEST("remove_file removes a link and not what it leads to, and no directory") {
  const digits d;
  const std::string link = d.folder / "link";
  REQUIRE(::symlink("digits", link.c_str()) == 0);
  co_await rondo::remove_file(link);
  CHECK_FALSE(is_link(link));
  CHECK(exists(d.path));
  co_await rondo::remove_file(d.path);
  CHECK_FALSE(exists(d.path));
  const std::string words = co_await words_of(rondo::remove_file(d.path));
  CHECK(words == "remove " + d.path + ": " + std::system_category().message(ENOENT));
  const std::error_code directory = co_await code_of(rondo::remove_file(d.folder / ""));
  CHECK(directory == std::errc::is_a_directory);
}

LOOP_TEST("rename_file gives another name, and replaces what has it") {
  const digits d;
  put(d.folder / "other", "old");
  co_await rondo::rename_file(d.path, d.folder / "other");
  CHECK_FALSE(exists(d.path));
  CHECK(text_in(d.folder / "other") == "0123456789");
  const std::string x = d.folder / "x";
  const std::string words = co_await words_of(rondo::rename_file(d.path, x));
  CHECK(words == "rename " + d.path + " to " + x + ": " + std::system_category().message(ENOENT));
}

LOOP_TEST("a path operation in a canceled scope does nothing") {
  const digits d;
  const std::error_code made = co_await in_canceled_scope(rondo::create_directory(d.folder / "a"));
  const std::error_code removed = co_await in_canceled_scope(rondo::remove_file(d.path));
  CHECK(made == rondo::errc::canceled);
  CHECK(removed == rondo::errc::canceled);
  CHECK(exists(d.path));
  CHECK_FALSE(exists(d.folder / "a"));
}

LOOP_TEST("a path operation that is canceled at any moment is done, or not begun") {
  const temporary_folder folder;
  for (int turns = 0; turns < 6; ++turns) {
    auto making = rondo::spawn(code_of(rondo::create_directory(folder / "a")));
    for (int i = 0; i < turns; ++i) co_await rondo::yield();
    making.cancel();
    const std::error_code code = co_await making;
    CHECK(exists(folder / "a") == !code);
    if (!code) co_await rondo::remove_directory(folder / "a");
  }
}
