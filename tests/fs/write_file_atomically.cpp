// SPDX-License-Identifier: BSL-1.0

#include <grp.h>
#include <rondo/fs/write_file_atomically.hpp>

#include <sys/stat.h>

#include <chrono>
#include <string>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"
#include "support/small_disk.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::task;
using rondo::write_file_atomically;

namespace {

std::size_t files_in(const std::string& folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

}  // namespace

LOOP_TEST("a file is made, and nothing beside it") {
  const temporary_folder folder;
  const mode_t mask = ::umask(0027);
  co_await write_file_atomically(folder / "a", "content");
  ::umask(mask);
  CHECK(text_in(folder / "a") == "content");
  CHECK(files_in(folder / "") == 1);
  CHECK((status_of(folder / "a").st_mode & 07777) == 0640);
}

LOOP_TEST("a file is replaced by another one, which has its permissions") {
  const digits d;
  REQUIRE(::chmod(d.path.c_str(), 0757) == 0);
  const ino_t before = status_of(d.path).st_ino;
  const std::string link = d.folder / "hard";
  REQUIRE(::link(d.path.c_str(), link.c_str()) == 0);
  const mode_t mask = ::umask(0077);
  co_await write_file_atomically(d.path, std::string("new"));
  ::umask(mask);
  CHECK(text_in(d.path) == "new");
  CHECK(text_in(link) == "0123456789");
  CHECK((status_of(d.path).st_mode & 07777) == 0757);
  CHECK(status_of(d.path).st_ino != before);
  CHECK(files_in(d.folder / "") == 2);
}

LOOP_TEST("a name without a directory is one in the current directory") {
  const temporary_folder folder;
  const auto here = std::filesystem::current_path();
  std::filesystem::current_path(folder / "");
  co_await write_file_atomically("plain", "content");
  std::filesystem::current_path(here);
  CHECK(text_in(folder / "plain") == "content");
  CHECK(files_in(folder / "") == 1);
}

LOOP_TEST("a name of the longest kind is no difficulty") {
  const temporary_folder folder;
  const std::string path = folder / std::string(255, 'n');
  co_await write_file_atomically(path, "content");
  CHECK(text_in(path) == "content");
}

LOOP_TEST("an empty file, and a large one") {
  const temporary_folder folder;
  co_await write_file_atomically(folder / "a", "");
  CHECK(exists(folder / "a"));
  const std::string text(5'000'000, 'x');
  co_await write_file_atomically(folder / "a", text);
  const std::string read = co_await rondo::read_file(folder / "a");
  const bool same = read == text;
  CHECK(same);
}

LOOP_TEST("a symbolic link is replaced itself") {
  const digits d;
  const std::string link = d.folder / "link";
  REQUIRE(::symlink("digits", link.c_str()) == 0);
  co_await write_file_atomically(link, "new");
  CHECK_FALSE(is_link(link));
  CHECK(text_in(link) == "new");
  CHECK(text_in(d.path) == "0123456789");
}

LOOP_TEST("an error names the path, and leaves the old file and nothing else") {
  const digits d;
  const std::string directory = d.folder / "deep";
  REQUIRE(::mkdir(directory.c_str(), 0700) == 0);
  const std::string words = co_await words_of(write_file_atomically(directory, "x"));
  CHECK(words == "write " + directory + ": " + std::system_category().message(EISDIR));
  const std::error_code missing =
      co_await code_of(write_file_atomically(d.folder / "no/file", "x"));
  CHECK(missing == std::errc::no_such_file_or_directory);
  const std::string where = co_await words_of(write_file_atomically(d.folder / "no/file", "x"));
  CHECK(where == "write " + (d.folder / "no/file") + ": " + std::system_category().message(ENOENT));
  CHECK(files_in(d.folder / "") == 2);
}

ON_BOTH_RINGS("a directory that may be written and not opened leaves the old file and nothing else", {
  const temporary_folder folder;
  const std::string directory = folder / "closed";
  REQUIRE(::mkdir(directory.c_str(), 0700) == 0);
  put(directory + "/a", "old");
  constexpr unsigned nobody = 65534;
  const bool root = ::geteuid() == 0;
  REQUIRE((!root || ::chown(directory.c_str(), nobody, nobody) == 0));
  REQUIRE(::chmod((folder / "").c_str(), 0711) == 0);
  REQUIRE(::chmod(directory.c_str(), 0300) == 0);
  const int status = in_child([&] {
    if (root && (::setgid(nobody) != 0 || ::setuid(nobody) != 0)) return 77;
    try {
      rondo::run(write_file_atomically(directory + "/a", "new"));
    } catch (const std::system_error& e) {
      return e.code() == std::errc::permission_denied ? 7 : 1;
    }
    return 2;
  });
  REQUIRE(::chmod(directory.c_str(), 0700) == 0);
  if (exited_with(status, 77)) SKIP("needs to become somebody else");
  CHECK(exited_with(status, 7));
  CHECK(text_in(directory + "/a") == "old");
  CHECK(files_in(directory) == 1);
})

ON_BOTH_RINGS("a disk that is full half-way leaves the old file and nothing else", {
  const temporary_folder folder;
  const int status = in_child([&folder] {
    if (!mount_small_disk(folder / "")) return 77;
    put(folder / "a", "old");
    std::string words;
    try {
      rondo::run(write_file_atomically(folder / "a", std::string(1'000'000, 'x')));
    } catch (const std::system_error& e) {
      words = e.what();
    }
    const std::string expected =
        "write " + (folder / "a") + ": " + std::system_category().message(ENOSPC);
    if (words != expected) return 1;
    return text_in(folder / "a") == "old" && files_in(folder / "") == 1 ? 7 : 2;
  });
  if (exited_with(status, 77)) SKIP("needs a namespace of its own to mount a small disk in");
  CHECK(exited_with(status, 7));
})

LOOP_TEST("canceled at any moment the file is the old one or the new one, and nothing is left") {
  const temporary_folder folder;
  const std::string path = folder / "a";
  const auto before = rondo_test::open_descriptors();
  int written = 0;
  int canceled = 0;
  for (int i = 0; i < 60; ++i) {
    put(path, "old");
    auto writing = rondo::spawn(code_of(write_file_atomically(path, "new")));
    for (int turn = 0; turn < i / 2; ++turn) co_await rondo::yield();
    if (i % 4 == 3) co_await rondo::sleep_for(i * 20us);
    writing.cancel();
    const std::error_code code = co_await writing;
    REQUIRE((!code || code == rondo::errc::canceled));
    CHECK(text_in(path) == (code ? "old" : "new"));
    CHECK(files_in(folder / "") == 1);
    ++(code ? canceled : written);
  }
  CHECK(canceled > 0);
  CHECK(rondo_test::open_descriptors() == before);
  co_await write_file_atomically(path, "new");
  CHECK(text_in(path) == "new");
}

LOOP_TEST("many at once, each reader sees a whole file") {
  const temporary_folder folder;
  const std::string path = folder / "a";
  co_await write_file_atomically(path, std::string(1000, 'a'));
  bool done = false;
  const auto write = [](const std::string& to, char letter) -> task<> {
    for (int i = 0; i < 10; ++i) co_await write_file_atomically(to, std::string(1000, letter));
  };
  const auto write_all = [&write](const std::string& to, bool& all_done) -> task<> {
    co_await rondo::when_all(write(to, 'a'), write(to, 'b'), write(to, 'c'));
    all_done = true;
  };
  const auto read = [](const std::string& from, const bool& all_done) -> task<bool> {
    bool whole = true;
    while (!all_done) {
      const std::string text = co_await rondo::read_file(from);
      whole = whole && text == std::string(1000, text.empty() ? 'x' : text[0]);
    }
    co_return whole;
  };
  const auto both = co_await rondo::when_all(write_all(path, done), read(path, done));
  CHECK(std::get<1>(both));
  CHECK(files_in(folder / "") == 1);
}

LOOP_TEST("in a canceled scope nothing is touched") {
  const digits d;
  const std::error_code code = co_await in_canceled_scope(write_file_atomically(d.path, "x"));
  CHECK(code == rondo::errc::canceled);
  CHECK(text_in(d.path) == "0123456789");
  CHECK(files_in(d.folder / "") == 1);
}

ON_BOTH_RINGS("a file that is replaced keeps its set-user-ID, which writing takes away", {
  if (::getuid() != 0) SKIP("needs root, to become somebody else");
  const temporary_folder folder;
  ::chmod((folder / "").c_str(), 0777);
  const std::string path = folder / "script";
  const int status = in_child([&]() -> int {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0) return 2;
    return rondo::run([](const std::string& script) -> rondo::task<int> {
      co_await rondo::write_file(script, "old");
      if (::chmod(script.c_str(), 06755) != 0) co_return 3;
      co_await rondo::write_file_atomically(script, "new");
      const auto now = co_await rondo::file_status(script);
      co_return static_cast<unsigned>(now.permissions()) == 06755 ? 0 : 4;
    }(path));
  });
  CAPTURE(status);
  CHECK(exited_with(status, 0));
})
