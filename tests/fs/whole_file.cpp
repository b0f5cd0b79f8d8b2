// SPDX-License-Identifier: BSL-1.0

#include <rondo/fs/whole_file.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::read_file;
using rondo::task;
using rondo::write_file;

LOOP_TEST("what was written is read, of any size around a page and a buffer") {
  const temporary_folder folder;
  const std::string path = folder / "a";
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 8191U, 8192U, 8193U, 100'000U}) {
    std::string text(size, '\0');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i % 251);
    co_await write_file(path, text);
    const std::string read = co_await read_file(path);
    CHECK(read.size() == size);
    CHECK(read == text);
  }
}

LOOP_TEST("a file of 64 MB is written and read whole") {
  const temporary_folder folder;
  std::string text(std::size_t{64} << 20, '\0');
  std::uint64_t state = 1;
  for (std::size_t i = 0; i < text.size(); i += 512) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    text[i] = static_cast<char>(state >> 56);
  }
  co_await write_file(folder / "big", text);
  const std::string read = co_await read_file(folder / "big");
  const bool same = read == text;
  CHECK(same);
}

LOOP_TEST("files that do not know their size are read to their end") {
  const std::string status = co_await read_file("/proc/self/status");
  CHECK_THAT(status, Catch::Matchers::ContainsSubstring("Name:"));
  CHECK_THAT(status, Catch::Matchers::ContainsSubstring("nonvoluntary_ctxt_switches:"));
  const std::string maps = co_await read_file("/proc/self/smaps");  // longer than any first guess
  CHECK(maps.size() > 8192);
  CHECK_THAT(maps, Catch::Matchers::ContainsSubstring("[stack]"));
  const std::string none = co_await read_file("/dev/null");
  CHECK(none.empty());
}

LOOP_TEST("a NUL in a file is a byte like any other") {
  const temporary_folder folder;
  co_await write_file(folder / "a", std::string("a\0b", 3));
  const std::string read = co_await read_file(folder / "a");
  CHECK(read == std::string("a\0b", 3));
}

LOOP_TEST("what cannot be read says which path") {
  const temporary_folder folder;
  const std::string missing = folder / "missing";
  const std::string words = co_await words_of(read_file(missing));
  CHECK(words == "open " + missing + ": " + std::system_category().message(ENOENT));
  const std::string directory = folder / "";
  const std::string not_read = co_await words_of(read_file(directory));
  CHECK_THAT(not_read, Catch::Matchers::ContainsSubstring(directory));
  CHECK_THAT(not_read, Catch::Matchers::ContainsSubstring(std::system_category().message(EISDIR)));
}

LOOP_TEST("what cannot be written says which path, or what failed") {
  const temporary_folder folder;
  const std::string directory = folder / "";
  const std::string words = co_await words_of(write_file(directory, "x"));
  CHECK(words == "open " + directory + ": " + std::system_category().message(EISDIR));
  const std::error_code full = co_await code_of(write_file("/dev/full", "x"));
  CHECK(full == std::errc::no_space_on_device);
}

LOOP_TEST("write_file replaces what was there") {
  const temporary_folder folder;
  co_await write_file(folder / "a", "a longer text");
  co_await write_file(folder / "a", "short");
  const std::string read = co_await read_file(folder / "a");
  CHECK(read == "short");
}

LOOP_TEST("write_file takes literals, views, vectors and arrays") {
  const temporary_folder folder;
  const std::string path = folder / "a";
  const std::vector<std::uint16_t> numbers(3, 0x4141);
  const char array[] = {'x', 'y'};
  co_await write_file(path, "literal");
  const std::string literal = co_await read_file(path);
  co_await write_file(path, std::string_view("a view").substr(2));
  const std::string view = co_await read_file(path);
  co_await write_file(path, numbers);
  const std::string vector = co_await read_file(path);
  co_await write_file(path, rondo::const_buffer(array, 2));
  const std::string buffer = co_await read_file(path);
  CHECK(literal == "literal");
  CHECK(view == "view");
  CHECK(vector == "AAAAAA");
  CHECK(buffer == "xy");
}

LOOP_TEST("a path and data that are given away are kept until they are needed") {
  const temporary_folder folder;
  auto writing = write_file(std::string(folder / "a"), std::string("given away"));
  co_await rondo::yield();
  co_await std::move(writing);
  auto reading = read_file(std::string(folder / "a"));
  co_await rondo::yield();
  const std::string read = co_await std::move(reading);
  CHECK(read == "given away");
}

LOOP_TEST("nothing stays open, whatever happens") {
  const temporary_folder folder;
  const auto before = rondo_test::open_descriptors();
  co_await write_file(folder / "a", "x");
  co_await read_file(folder / "a");
  for (const auto& path : {folder / "missing", folder / ""}) {
    const std::error_code read = co_await code_of(read_file(path));
    CHECK(read);
  }
  const std::error_code written = co_await code_of(write_file("/dev/full", "x"));
  CHECK(written);
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("a whole file that is canceled at any moment leaves nothing open") {
  const temporary_folder folder;
  const std::string path = folder / "a";
  co_await write_file(path, std::string(1'000'000, 'x'));
  const auto before = rondo_test::open_descriptors();
  int canceled = 0;
  for (int turns = 0; turns < 40; ++turns) {
    auto reading = rondo::spawn(code_of(read_file(path)));
    auto writing = rondo::spawn(code_of(write_file(folder / "b", "text")));
    for (int i = 0; i < turns; ++i) co_await rondo::yield();
    reading.cancel();
    writing.cancel();
    const std::error_code read = co_await reading;
    const std::error_code written = co_await writing;
    for (const std::error_code code : {read, written}) {
      const bool expected = !code || code == rondo::errc::canceled;
      CHECK(expected);
      canceled += code == rondo::errc::canceled ? 1 : 0;
    }
    CHECK(rondo_test::open_descriptors() == before);
  }
  CHECK(canceled > 0);
}

LOOP_TEST("a hundred files are written and read at once") {
  const temporary_folder folder;
  const auto one = [](std::string path, int number) -> task<std::string> {
    co_await write_file(path, std::to_string(number));
    co_return co_await read_file(path);
  };
  std::vector<task<std::string>> all;
  std::vector<std::string> expected;
  for (int i = 0; i < 100; ++i) {
    all.push_back(one(folder / std::to_string(i), i));
    expected.push_back(std::to_string(i));
  }
  const std::vector<std::string> read = co_await rondo::when_all(std::move(all));
  CHECK(read == expected);
}
