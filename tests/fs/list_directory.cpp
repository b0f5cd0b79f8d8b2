// SPDX-License-Identifier: BSL-1.0

#include <rondo/fs/list_directory.hpp>

#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "io/operations.hpp"
#include "support/descriptors.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::directory_entry;
using rondo::list_directory;
using rondo::task;
using std::filesystem::file_type;

namespace {

task<std::multiset<std::string>> names_in(const std::string& path) {
  std::multiset<std::string> names;
  auto entries = list_directory(path);
  while (auto entry = co_await entries.next()) names.insert(std::string(entry->name()));
  co_return names;
}

task<std::error_code> listing(std::string path) {
  auto entries = list_directory(path);
  co_return co_await code_of(entries.next());
}

}  // namespace

LOOP_TEST("a directory gives each name once, with its path and kind, without . and ..") {
  const digits d;
  REQUIRE(::mkdir((d.folder / "deep").c_str(), 0700) == 0);
  REQUIRE(::symlink("digits", (d.folder / "link").c_str()) == 0);
  REQUIRE(::mkfifo((d.folder / "fifo").c_str(), 0600) == 0);
  put(d.folder / ".hidden", "x");
  std::map<std::string, file_type> found;
  auto entries = list_directory(d.folder / "");
  while (auto entry = co_await entries.next()) {
    const bool once = found.emplace(entry->name(), entry->type()).second;
    CHECK(once);
    CHECK(entry->path() == d.folder / std::string(entry->name()));
    struct stat status {};
    REQUIRE(::lstat(entry->path().c_str(), &status) == 0);
    CHECK(entry->inode() == status.st_ino);
    CHECK(entry->is_regular_file() == S_ISREG(status.st_mode));
    CHECK(entry->is_directory() == S_ISDIR(status.st_mode));
    CHECK(entry->is_symlink() == S_ISLNK(status.st_mode));
  }
  const std::map<std::string, file_type> expected = {{"digits", file_type::regular},
                                                     {"deep", file_type::directory},
                                                     {"link", file_type::symlink},
                                                     {"fifo", file_type::fifo},
                                                     {".hidden", file_type::regular}};
  CHECK(found == expected);
  const auto after_the_end = co_await entries.next();
  CHECK_FALSE(after_the_end.has_value());
}

LOOP_TEST("an empty directory has no entries, and one of the process has its own") {
  const temporary_folder folder;
  const auto none = co_await names_in(folder / "");
  CHECK(none.empty());
  const auto here = co_await names_in(".");
  CHECK_FALSE(here.empty());
}

LOOP_TEST("a directory of thousands is listed whole, whatever the length of the names") {
  const temporary_folder folder;
  std::multiset<std::string> made;
  for (int i = 0; i < 3000; ++i) {
    std::string name = std::to_string(i);
    name.append(static_cast<std::size_t>(i % 200), 'x');
    ::close(::creat((folder / name).c_str(), 0600));
    made.insert(std::move(name));
  }
  const auto found = co_await names_in(folder / "");
  const bool same = found == made;
  CHECK(same);
}

LOOP_TEST("a directory that is removed while it is listed ends there") {
  const temporary_folder folder;
  const std::string directory = folder / "short-lived";
  REQUIRE(std::filesystem::create_directory(directory));
  for (int i = 0; i < 3000; ++i) ::close(::creat((directory + "/" + std::to_string(i)).c_str(), 0600));
  auto entries = list_directory(directory);
  const auto first = co_await entries.next();
  REQUIRE(first.has_value());
  std::filesystem::remove_all(directory);
  int more = 0;
  while (auto entry = co_await entries.next()) ++more;
  CHECK(more < 2999);  // not all of the others
}

LOOP_TEST("what cannot be listed is an error that names the path, at the first entry") {
  const digits d;
  const std::string missing = d.folder / "missing";
  auto entries = list_directory(missing);
  const std::string words = co_await words_of(entries.next());
  CHECK(words == "open " + missing + ": " + std::system_category().message(ENOENT));
  const std::error_code file = co_await listing(d.path);
  CHECK(file == std::errc::not_a_directory);
}

LOOP_TEST("a stream of entries is dropped in the middle, moved, and closed") {
  const digits d;
  put(d.folder / "other", "x");
  const auto before = rondo_test::open_descriptors();
  {
    auto entries = list_directory(d.folder / "");
    const auto first = co_await entries.next();
    CHECK(first.has_value());
    CHECK(rondo_test::open_descriptors() == before + 1);
    auto moved = std::move(entries);
    const auto second = co_await moved.next();
    CHECK(second.has_value());
    CHECK(first->name() != second->name());
  }
  CHECK(rondo_test::open_descriptors() == before);
  auto entries = list_directory(d.folder / "");
  const auto first = co_await entries.next();
  CHECK(first.has_value());
  co_await entries.close();
  CHECK(rondo_test::open_descriptors() == before);
  const auto closed = co_await entries.next();
  CHECK_FALSE(closed.has_value());
  co_await entries.close();
}

namespace {

/// Keeps the only thread of a loop until it is let go.
struct busy_thread {
  std::promise<void> go;
  rondo::join_handle<void> job;
  busy_thread() {
    job = rondo::spawn([](std::future<void> end) -> task<> {
      co_await rondo::to_thread([](std::future<void> told) { told.wait(); }, std::move(end));
    }, go.get_future());
  }
};

task<> closes_under_a_next() {
  const digits d;
  const auto before = rondo_test::open_descriptors();
  auto entries = list_directory(d.folder / "");
  const auto only = co_await entries.next();
  CHECK(only.has_value());
  busy_thread busy;
  co_await round_trip();
  auto reading = rondo::spawn(entries.next());
  co_await round_trip();
  auto closing = rondo::spawn(entries.close());
  co_await round_trip();
  busy.go.set_value();
  co_await busy.job;
  const auto end = co_await reading;
  CHECK_FALSE(end.has_value());
  co_await closing;
  CHECK(rondo_test::open_descriptors() == before);
}

task<> is_dropped_under_a_next() {
  const digits d;
  const auto before = rondo_test::open_descriptors();
  std::optional<rondo::directory_stream> entries(list_directory(d.folder / ""));
  const auto only = co_await entries->next();
  CHECK(only.has_value());
  busy_thread busy;
  co_await round_trip();
  {
    auto reading = rondo::spawn(entries->next());
    co_await round_trip();
    entries.reset();
    busy.go.set_value();
    co_await busy.job;
    const auto end = co_await reading;
    CHECK_FALSE(end.has_value());
  }
  CHECK(rondo_test::open_descriptors() == before);
}

void on_one_thread(task<> body) {
  rondo::loop_options options;
  options.max_threads = 1;
  rondo::run(std::move(body), std::move(options));
}

}  // namespace

ON_BOTH_RINGS("a close while a thread reads waits for it, and the next gives nothing more",
              on_one_thread(closes_under_a_next());)
ON_BOTH_RINGS("a stream that is dropped while a thread reads leaves it what it needs",
              on_one_thread(is_dropped_under_a_next());)

LOOP_TEST("a next that is canceled at any moment loses no entry") {
  const temporary_folder folder;
  for (int i = 0; i < 20; ++i) put(folder / std::to_string(i), "x");
  auto entries = list_directory(folder / "");
  std::multiset<std::string> found;
  using next = std::optional<directory_entry>;
  for (int i = 0;; ++i) {
    auto running = rondo::spawn([](rondo::directory_stream& s) -> task<next> {
      co_return co_await s.next();
    }, std::ref(entries));
    for (int turn = 0; turn < i % 5; ++turn) co_await rondo::yield();
    if (i % 7 == 6) co_await rondo::sleep_for(1ms);
    running.cancel();
    try {
      const next entry = co_await running;
      if (!entry) break;
      found.insert(std::string(entry->name()));
    } catch (const rondo::operation_canceled&) {
    }
    REQUIRE(i < 10'000);
  }
  CHECK(found.size() == 20);
  CHECK(std::set<std::string>(found.begin(), found.end()).size() == 20);
}

LOOP_TEST("a next in a canceled scope opens nothing, and a close still closes") {
  const digits d;
  const auto before = rondo_test::open_descriptors();
  auto entries = list_directory(d.folder / "");
  const std::error_code refused = co_await in_canceled_scope(entries.next());
  CHECK(refused == rondo::errc::canceled);
  CHECK(rondo_test::open_descriptors() == before);
  const auto first = co_await entries.next();
  CHECK(first.has_value());
  const std::error_code closed = co_await in_canceled_scope(entries.close());
  CHECK(closed == std::error_code());
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("an entry that was given away gives its strings away") {
  directory_entry entry("/a/directory", "name", file_type::regular, 7);
  CHECK(entry.path() == "/a/directory/name");
  CHECK(entry.name() == "name");
  CHECK(directory_entry("", "name", file_type::regular, 7).path() == "name");
  CHECK(directory_entry("/", "name", file_type::regular, 7).path() == "/name");
  const std::string name = std::move(entry).name();
  CHECK(name == "name");
  co_return;
}
