// SPDX-License-Identifier: BSL-1.0

#include <rondo/fs/watch.hpp>

#include <rondo/fs/whole_file.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

task<std::optional<file_event>> next_of(watch_stream& s) { co_return co_await s.next(); }
void make(const std::string& path) { std::ofstream(path) << "x"; }

}  // namespace

LOOP_TEST("what happens in a folder comes with its name, in order") {
  const temporary_folder folder;
  watch_stream changes = watch(folder / "", IN_CREATE | IN_CLOSE_WRITE | IN_DELETE | IN_MOVE);
  make(folder / "a");
  std::filesystem::rename(folder / "a", folder / "b");
  std::filesystem::create_directory(folder / "inner");
  std::filesystem::remove(folder / "b");
  const auto next = [&changes]() -> task<file_event> {
    auto event = co_await with_timeout(1s, changes.next());
    co_return std::move(*event);
  };
  const file_event created = co_await next();
  CHECK(created.mask == IN_CREATE);
  CHECK(created.name == "a");
  const file_event written = co_await next();
  CHECK(written.mask == IN_CLOSE_WRITE);
  const file_event from = co_await next();
  const file_event to = co_await next();
  CHECK(from.mask == IN_MOVED_FROM);
  CHECK(to.mask == IN_MOVED_TO);
  CHECK(to.name == "b");
  CHECK(from.cookie == to.cookie);
  CHECK(from.cookie != 0);
  const file_event inner = co_await next();
  CHECK(inner.mask == (IN_CREATE | IN_ISDIR));
  CHECK(inner.name == "inner");
  const file_event removed = co_await next();
  CHECK(removed.mask == IN_DELETE);
  CHECK(removed.name == "b");
}

LOOP_TEST("an event comes to whoever waits for it, and a file is watched as well") {
  const temporary_folder folder;
  const std::string path = folder / "file";
  make(path);
  watch_stream changes = watch(path, IN_CLOSE_WRITE);
  for (int i = 0; i < 5; ++i) {
    auto waiting = spawn(next_of(changes));
    co_await round_trip();
    co_await write_file(path, std::string("y"));
    const auto event = co_await waiting;
    CHECK(event->mask == IN_CLOSE_WRITE);
    CHECK(event->name.empty());
  }
}

LOOP_TEST("five hundred events, with names as long as can be, are all given") {
  const temporary_folder folder;
  watch_stream changes = watch(folder / "", IN_CREATE);
  const auto name_of = [](int i) { return std::string(250, 'n') + std::to_string(100 + i % 900); };
  for (int i = 0; i < 500; ++i) make(folder / name_of(i));
  for (int i = 0; i < 500; ++i) {
    const auto event = co_await with_timeout(1s, changes.next());
    REQUIRE(event->name == name_of(i));
  }
  const auto none = co_await try_for(1ms, changes.next());
  CHECK_FALSE(none.has_value());
}

LOOP_TEST("a next that is canceled, or loses a race, loses no event") {
  const temporary_folder folder;
  watch_stream first = watch(folder / "", IN_CREATE);
  watch_stream second = watch(folder / "", IN_CREATE);
  const auto none = co_await try_for(1ms, first.next());
  CHECK_FALSE(none.has_value());
  for (int i = 0; i < 10; ++i) {
    const std::string name = "file " + std::to_string(i);
    make(folder / name);
    const auto won = co_await when_any(first.next(), second.next());
    auto& other = won.index() == 0 ? second : first;
    const auto event = co_await with_timeout(1s, other.next());
    CHECK(event->name == name);
  }
}

LOOP_TEST("the stream ends when what is watched has gone") {
  const temporary_folder folder;
  const std::string path = folder / "file";
  make(path);
  watch_stream changes = watch(path, IN_DELETE_SELF);
  std::filesystem::remove(path);
  const auto gone = co_await with_timeout(1s, changes.next());
  CHECK(gone->mask == IN_DELETE_SELF);
  for (int i = 0; i < 2; ++i) {
    const auto none = co_await with_timeout(1s, changes.next());
    CHECK_FALSE(none.has_value());
  }
}

LOOP_TEST("close ends the stream, and a next that another task awaits") {
  const auto before = rondo_test::open_descriptors();
  {
    const temporary_folder folder;
    watch_stream changes = watch(folder / "", IN_CREATE);
    auto waiting = spawn(next_of(changes));
    co_await round_trip();
    co_await changes.close();
    const auto none = co_await waiting;
    CHECK_FALSE(none.has_value());
    const auto again = co_await changes.next();
    CHECK_FALSE(again.has_value());
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("a stream that is dropped with events in it leaves nothing behind") {
  const auto before = rondo_test::open_descriptors();
  const temporary_folder folder;
  {
    watch_stream changes = watch(folder / "", IN_CREATE);
    make(folder / "a");
    make(folder / "b");
    static_cast<void>(co_await changes.next());
  }
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("a path that does not exist, and a mask of nothing, are errors that name the path") {
  const auto before = rondo_test::open_descriptors();
  try {
    static_cast<void>(watch("/no/such/folder", IN_CREATE));
    FAIL("watched");
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::no_such_file_or_directory);
    CHECK_THAT(e.what(), Catch::Matchers::ContainsSubstring("watch /no/such/folder: "));
  }
  CHECK_THROWS_AS(watch("/", 0), std::system_error);
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("waiting for an event with a short name allocates nothing") {
  if (!rondo_test::heap_is_counted()) SKIP("needs a counted heap");
  const temporary_folder folder;
  const std::string path = folder / "short";
  const auto count = [](const std::string& at, const std::string& in) -> task<std::size_t> {
    watch_stream changes = watch(in, IN_ATTRIB);
    std::size_t before = 0;
    for (int i = 0; i < 200; ++i) {
      if (i == 100) before = rondo_test::allocations();
      ::chmod(at.c_str(), i % 2 == 0 ? 0600 : 0640);
      static_cast<void>(co_await changes.next());
    }
    co_return rondo_test::allocations() - before;
  };
  make(path);
  CHECK(rondo::run(count(path, folder / "")) == 0);
}
