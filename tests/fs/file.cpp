// SPDX-License-Identifier: BSL-1.0

#include <rondo/fs/file.hpp>

#include <sys/stat.h>
#include <sys/utsname.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"
#include "support/loop_test.hpp"
#include "support/small_disk.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::file;
using rondo::open_mode;
using rondo::task;

namespace {

std::string content_of(const std::string& path) {
  const rondo::descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string all(1'000'000, '\0');
  const ssize_t n = ::read(fd.native_handle(), all.data(), all.size());
  REQUIRE(n >= 0);
  all.resize(static_cast<std::size_t>(n));
  return all;
}

bool linux_is_at_least(int major, int minor) {
  utsname name{};
  REQUIRE(::uname(&name) == 0);
  std::array<int, 2> here{};
  REQUIRE(std::sscanf(name.release, "%d.%d", &here[0], &here[1]) == 2);
  return here >= std::array<int, 2>{major, minor};
}

int access_of(const file& f) { return ::fcntl(f.native_handle(), F_GETFL) & O_ACCMODE; }

}  // namespace

// Opening

LOOP_TEST("a file is opened for reading unless told otherwise") {
  const temporary_folder folder;
  put(folder / "a", "content");
  file f = co_await file::open(folder / "a");
  CHECK(f);
  CHECK(access_of(f) == O_RDONLY);
  const std::error_code code = co_await code_of(f.write("x"));
  CHECK(code == std::errc::bad_file_descriptor);
}

LOOP_TEST("the modes are what open(2) makes of them") {
  const temporary_folder folder;
  put(folder / "a", "content");
  const file reads = co_await file::open(folder / "a", open_mode::read);
  const file writes = co_await file::open(folder / "a", open_mode::write);
  const file both = co_await file::open(folder / "a", open_mode::read | open_mode::write);
  const file appends = co_await file::open(folder / "a", open_mode::append);
  const file reads_appends = co_await file::open(folder / "a", open_mode::read | open_mode::append);
  CHECK(access_of(reads) == O_RDONLY);
  CHECK(access_of(writes) == O_WRONLY);
  CHECK(access_of(both) == O_RDWR);
  CHECK(access_of(appends) == O_WRONLY);
  CHECK(access_of(reads_appends) == O_RDWR);
  CHECK((::fcntl(appends.native_handle(), F_GETFL) & O_APPEND) != 0);
  CHECK((::fcntl(writes.native_handle(), F_GETFL) & O_APPEND) == 0);
  CHECK((::fcntl(reads.native_handle(), F_GETFD) & FD_CLOEXEC) != 0);
  open_mode growing = open_mode::read;
  growing |= open_mode::write;
  CHECK(growing == (open_mode::read | open_mode::write));
  CHECK(content_of(folder / "a") == "content");
}

LOOP_TEST("a file that is not there is made only when told so, with the permissions given") {
  const temporary_folder folder;
  const std::string path = folder / "new";
  const std::string words = co_await words_of(file::open(path, open_mode::write));
  CHECK(words == "open " + path + ": " + std::system_category().message(ENOENT));
  const mode_t mask = ::umask(0027);
  const file f = co_await file::open(path, open_mode::write | open_mode::create, 0666);
  ::umask(mask);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
}

LOOP_TEST("truncate drops what is in the file, exclusive insists on a new one") {
  const temporary_folder folder;
  put(folder / "a", "content");
  const std::error_code there = co_await code_of(
      file::open(folder / "a", open_mode::write | open_mode::create | open_mode::exclusive));
  CHECK(there == std::errc::file_exists);
  CHECK(content_of(folder / "a") == "content");
  const file f = co_await file::open(folder / "a", open_mode::write | open_mode::truncate);
  CHECK(content_of(folder / "a").empty());
}

LOOP_TEST("a path is given as literal, string, path or view") {
  const temporary_folder folder;
  const std::string name = folder / "a";
  put(name, "x");
  const std::filesystem::path path(name);
  const file null = co_await file::open("/dev/null");
  const file by_string = co_await file::open(name);
  const file by_path = co_await file::open(path);
  const file by_temporary = co_await file::open(std::filesystem::path(name));
  const file by_view = co_await file::open(std::string_view(name + "tail").substr(0, name.size()));
  CHECK(null);
  CHECK(by_string);
  CHECK(by_path);
  CHECK(by_temporary);
  CHECK(by_view);
}

LOOP_TEST("a path with a zero byte in it is refused, and nothing is done to the file before it") {
  const temporary_folder folder;
  const std::string kept = folder / "kept";
  put(kept, "content");
  const std::string path = kept + '\0' + ".bak";
  CHECK_THROWS_AS(static_cast<void>(rondo::remove_file(path)), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(rondo::remove_file(std::string(path))), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(rondo::remove_file(std::string_view(path))),
                  std::invalid_argument);
  const std::filesystem::path same(path);
  CHECK_THROWS_AS(static_cast<void>(rondo::remove_file(same)), std::invalid_argument);
  CHECK_THROWS_AS(static_cast<void>(rondo::remove_file(std::filesystem::path(path))),
                  std::invalid_argument);
  const std::string words = co_await words_of([](std::string p) -> task<> {
    co_await rondo::write_file(p, "x");
  }(path));
  CHECK(contains(words, "zero byte"));
  CHECK(contains(words, "after \"" + kept + '"'));
  CHECK(content_of(kept) == "content");
}

LOOP_TEST("a directory opens for reading only, and is not read") {
  const temporary_folder folder;
  const std::error_code written = co_await code_of(file::open(folder / "", open_mode::write));
  CHECK(written == std::errc::is_a_directory);
  file f = co_await file::open(folder / "");
  std::array<char, 10> bytes;
  const std::error_code read = co_await code_of(f.read(bytes));
  CHECK(read == std::errc::is_a_directory);
}

LOOP_TEST("an open that is dropped or refused makes no file") {
  const temporary_folder folder;
  static_cast<void>(file::open(folder / "a", open_mode::write | open_mode::create));
  auto opening =
      rondo::spawn(code_of(file::open(folder / "a", open_mode::write | open_mode::create)));
  opening.cancel();
  const std::error_code code = co_await opening;
  CHECK(code == rondo::errc::canceled);
  CHECK_FALSE(std::filesystem::exists(folder / "a"));
}

// Reading

LOOP_TEST("read goes on where it stopped, and gives 0 at the end, again and again") {
  const temporary_folder folder;
  put(folder / "a", "abcdefg");
  file f = co_await file::open(folder / "a");
  std::array<char, 3> bytes;
  std::string all;
  for (;;) {
    const std::size_t n = co_await f.read(bytes);
    if (n == 0) break;
    all.append(bytes.data(), n).append("|");
  }
  CHECK(all == "abc|def|g|");
  const std::size_t end = co_await f.read(bytes);
  CHECK(end == 0);
}

LOOP_TEST("read_at reads anywhere, does not move the position, and any number may be in flight") {
  const temporary_folder folder;
  put(folder / "a", "0123456789");
  file f = co_await file::open(folder / "a");
  std::string bytes(10, '\0');
  std::vector<decltype(f.read_at(bytes, 0))> reads;
  for (std::size_t i = 0; i < 10; ++i) {
    reads.push_back(f.read_at(rondo::mutable_buffer(&bytes[9 - i], 1), i));
  }
  const auto sizes = co_await rondo::when_all(std::move(reads));
  CHECK(sizes == std::vector<std::size_t>(10, 1));
  CHECK(bytes == "9876543210");
  std::array<char, 2> first;
  const std::size_t n = co_await f.read(first);
  CHECK(std::string(first.data(), n) == "01");
  const std::size_t beyond = co_await f.read_at(first, 10);
  CHECK(beyond == 0);
}

LOOP_TEST("an offset that no file can have is an error") {
  const temporary_folder folder;
  put(folder / "a", "abc");
  file f = co_await file::open(folder / "a", open_mode::read | open_mode::write);
  std::array<char, 2> bytes;
  // The last one is one before the beginning; the kernel takes it for the position.
  for (const auto too_far : {std::uint64_t{1} << 63, ~std::uint64_t{} - 1, ~std::uint64_t{}}) {
    const std::error_code read = co_await code_of(f.read_at(bytes, too_far));
    const std::error_code filled = co_await code_of(f.read_exactly_at(bytes, too_far));
    const std::error_code written = co_await code_of(f.write_at("x", too_far));
    CHECK(read == std::errc::invalid_argument);
    CHECK(filled == std::errc::invalid_argument);
    CHECK(written == std::errc::invalid_argument);
  }
  CHECK(content_of(folder / "a") == "abc");
}

LOOP_TEST("read_exactly fills the buffer, or says how much came before the end") {
  const temporary_folder folder;
  put(folder / "a", "abcdefg");
  file f = co_await file::open(folder / "a");
  std::string bytes(5, '\0');
  co_await f.read_exactly(bytes);
  CHECK(bytes == "abcde");
  try {
    co_await f.read_exactly(bytes);
    FAIL("more came than is there");
  } catch (const rondo::unexpected_eof& e) {
    CHECK(e.received() == 2);
    CHECK(e.code() == rondo::errc::unexpected_eof);
  }
  CHECK(bytes.substr(0, 2) == "fg");
  co_await f.read_exactly_at(bytes, 2);
  CHECK(bytes == "cdefg");
  const std::error_code beyond = co_await code_of(f.read_exactly_at(bytes, 3));
  CHECK(beyond == rondo::errc::unexpected_eof);
}

LOOP_TEST("read_exactly goes on until everything has come") {
  pipe_ends pipe;
  file f = file::adopt(pipe.reader.release());
  std::string bytes(1000, '\0');
  std::string expected;
  const auto dripping = [](int fd, std::string& sent) -> task<> {
    for (int i = 0; i < 1000; ++i) {
      const char byte = static_cast<char>('a' + i % 26);
      sent += byte;
      co_await rondo::io::write(fd, rondo::const_buffer(&byte, 1));
      if (i % 3 == 0) co_await rondo::yield();
    }
  };
  co_await rondo::when_all(f.read_exactly(bytes), dripping(pipe.in(), expected));
  CHECK(bytes == expected);
}

LOOP_TEST("reading nothing gives nothing") {
  const temporary_folder folder;
  put(folder / "a", "abc");
  file f = co_await file::open(folder / "a");
  const std::size_t none = co_await f.read(rondo::mutable_buffer());
  co_await f.read_exactly(rondo::mutable_buffer());
  CHECK(none == 0);
  const std::string all = co_await f.read_all();
  CHECK(all == "abc");
}

LOOP_TEST("read_all reads from the position to the end") {
  const temporary_folder folder;
  put(folder / "a", "0123456789");
  file f = co_await file::open(folder / "a");
  std::array<char, 4> bytes;
  co_await f.read_exactly(bytes);
  const std::string rest = co_await f.read_all();
  const std::string end = co_await f.read_all();
  CHECK(rest == "456789");
  CHECK(end.empty());
}

LOOP_TEST("read_all reads a pipe, which does not know its size") {
  pipe_ends pipe;
  file in = file::adopt(pipe.writer.release());
  file out = file::adopt(pipe.reader.release());
  std::string sent;
  for (int i = 0; i < 300'000; ++i) sent += static_cast<char>(i % 251);
  const auto write_and_close = [](file& f, const std::string& s) -> task<> {
    co_await f.write(s);
    co_await f.close();
  };
  const auto both = co_await rondo::when_all(out.read_all(), write_and_close(in, sent));
  CHECK(std::get<0>(both) == sent);
}

// Writing

LOOP_TEST("write writes everything at the position, write_at anywhere") {
  const temporary_folder folder;
  file f = co_await file::open(folder / "a", open_mode::write | open_mode::create);
  co_await f.write("abc");
  co_await f.write_at("XY", 1);
  co_await f.write("def");
  co_await f.write_at("!", 8);
  CHECK(content_of(folder / "a") == std::string("aXYdef\0\0!", 9));
}

LOOP_TEST("append writes to the end, wherever that is meanwhile") {
  const temporary_folder folder;
  put(folder / "a", "1");
  file a = co_await file::open(folder / "a", open_mode::append);
  file b = co_await file::open(folder / "a", open_mode::append);
  co_await a.write("2");
  co_await b.write("3");
  co_await a.write("4");
  CHECK(content_of(folder / "a") == "1234");
}

LOOP_TEST("write goes on until everything has gone") {
  pipe_ends pipe(4096);
  file in = file::adopt(pipe.writer.release());
  std::string sent;
  for (int i = 0; i < 1'000'000; ++i) sent += static_cast<char>(i % 251);
  std::string received(sent.size(), '\0');
  const auto slow_reader = [](int fd, std::string& to) -> task<> {
    std::size_t done = 0;
    while (done < to.size()) {
      const std::size_t most = std::min<std::size_t>(3000, to.size() - done);
      done += co_await rondo::io::read(fd, rondo::mutable_buffer(to.data() + done, most));
    }
  };
  co_await rondo::when_all(in.write(sent), slow_reader(pipe.out(), received));
  CHECK(received == sent);
}

LOOP_TEST("write takes an owner that is given away") {
  const temporary_folder folder;
  file f = co_await file::open(folder / "a", open_mode::write | open_mode::create);
  const auto later = [](file& to) { return to.write(std::string("short")); };
  auto write = later(f);
  co_await std::move(write);
  co_await f.write(std::string(10'000, 'x'));
  std::vector<std::uint16_t> numbers(2, 0x4141);
  co_await f.write_at(std::move(numbers), 1);
  CHECK(content_of(folder / "a") == "sAAAA" + std::string(10'000, 'x'));
}

LOOP_TEST("write_some writes once and says how much") {
  pipe_ends pipe(4096);
  file in = file::adopt(pipe.writer.release());
  file out = file::adopt(pipe.reader.release());
  const auto write_once = [](file& to) -> task<std::size_t> {
    const std::size_t n = co_await to.write_some(std::string(10'000, 'x'));
    co_await to.close();
    co_return n;
  };
  // Somebody reads, because before Linux 6.4 the kernel's ring waits until all has gone.
  const auto both = co_await rondo::when_all(write_once(in), out.read_all());
  const std::size_t n = std::get<0>(both);
  if (on_epoll() || linux_is_at_least(6, 4)) {
    CHECK(n == 4096);
  } else {
    CHECK(n <= 10'000);
  }
  CHECK(n > 0);
  CHECK(std::get<1>(both) == std::string(n, 'x'));
}

LOOP_TEST("a write_some that is canceled half-way gives how much went, or nothing went") {
  pipe_ends pipe(4096);
  file in = file::adopt(pipe.writer.release());
  auto writing = rondo::spawn([](file& to) -> task<std::size_t> {
    co_return co_await to.write_some(std::string(10'000, 'x'));
  }, std::ref(in));
  co_await round_trip();
  co_await rondo::sleep_for(10ms);
  writing.cancel();
  std::size_t sent = 0;
  try {
    sent = co_await writing;
  } catch (const rondo::operation_canceled&) {
  }
  co_await in.close();
  file out = file::adopt(pipe.reader.release());
  const std::string received = co_await out.read_all();
  CHECK(received.size() == sent);
}

LOOP_TEST("writing nothing writes nothing") {
  const temporary_folder folder;
  file f = co_await file::open(folder / "a", open_mode::write | open_mode::create);
  co_await f.write("");
  co_await f.write(rondo::const_buffer());
  CHECK(content_of(folder / "a").empty());
}

LOOP_TEST("writing to a full disk is an error, and no endless loop") {
  file full = co_await file::open("/dev/full", open_mode::write);
  const std::error_code code = co_await code_of(full.write("x"));
  CHECK(code == std::errc::no_space_on_device);
}

static rondo::task<std::size_t> write_until_full(const std::string& path, const std::string& text) {
  file f = co_await file::open(path, open_mode::write | open_mode::create);
  std::size_t done = 0;
  try {
    while (done < text.size()) {
      done += co_await f.write_some(std::string_view(text).substr(done));
    }
  } catch (const std::system_error& e) {
    if (e.code() != std::errc::no_space_on_device) throw;
  }
  co_return done;
}
static rondo::task<std::error_code> write_all(const std::string& path, const std::string& text) {
  file f = co_await file::open(path, open_mode::write | open_mode::create);
  co_return co_await code_of(f.write(text));
}

ON_BOTH_RINGS("a disk that is full ends a write with an error, and what went stays in its place", {
  const temporary_folder folder;
  const int status = in_child([&folder] {
    if (!mount_small_disk(folder / "")) return 77;
    std::string text;
    for (int i = 0; i < 1'000'000; ++i) text += static_cast<char>(i % 251);
    const std::error_code code = rondo::run(write_all(folder / "a", text));
    const std::string all = content_of(folder / "a");
    if (code != std::errc::no_space_on_device || all.empty()) return 1;
    if (all != text.substr(0, all.size())) return 2;
    ::unlink((folder / "a").c_str());
    const std::size_t done = rondo::run(write_until_full(folder / "b", text));
    const std::string some = content_of(folder / "b");
    return some.size() == done && !some.empty() && some == text.substr(0, done) ? 7 : 3;
  });
  if (exited_with(status, 77)) SKIP("needs a namespace of its own to mount a small disk in");
  CHECK(exited_with(status, 7));
})

// Size, room, sync

LOOP_TEST("size, resize and allocate") {
  const temporary_folder folder;
  file f = co_await file::open(folder / "a", open_mode::write | open_mode::create);
  const std::uint64_t empty = co_await f.size();
  co_await f.resize(1000);
  const std::uint64_t longer = co_await f.size();
  co_await f.allocate(0, 5000);
  const std::uint64_t allocated = co_await f.size();
  co_await f.resize(3);
  const std::uint64_t shorter = co_await f.size();
  CHECK(empty == 0);
  CHECK(longer == 1000);
  CHECK(allocated == 5000);
  CHECK(shorter == 3);
  CHECK(content_of(folder / "a") == std::string(3, '\0'));
}

LOOP_TEST("a size that no file can have is an error") {
  const temporary_folder folder;
  file f = co_await file::open(folder / "a", open_mode::write | open_mode::create);
  const std::error_code code =
      co_await code_of(f.resize(std::numeric_limits<std::uint64_t>::max()));
  CHECK(code == std::errc::invalid_argument);
}

LOOP_TEST("sync and sync_data return, and are errors where nothing can be synced") {
  const temporary_folder folder;
  file f = co_await file::open(folder / "a", open_mode::write | open_mode::create);
  co_await f.write("x");
  co_await f.sync_data();
  co_await f.sync();
  file pipe = file::adopt(pipe_ends().writer.release());
  const std::error_code code = co_await code_of(pipe.sync());
  CHECK(code == std::errc::invalid_argument);
}

// Owning

LOOP_TEST("a file closes itself, is moved, adopted and released") {
  const auto before = rondo_test::open_descriptors();
  {
    file a = co_await file::open("/dev/null");
    const int fd = a.native_handle();
    file b(std::move(a));
    CHECK_FALSE(a);
    CHECK(a.native_handle() == -1);
    CHECK(b.native_handle() == fd);
    a = std::move(b);
    CHECK(a.native_handle() == fd);
    CHECK(a.release() == fd);
    CHECK_FALSE(a);
    const file c = file::adopt(fd);
    CHECK(c);
    CHECK(rondo_test::open_descriptors() == before + 1);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("close closes, and what is in flight on the file ends as closed") {
  pipe_ends pipe;
  file f = file::adopt(pipe.reader.release());
  std::array<char, 10> bytes;
  auto reading = rondo::spawn(code_of(f.read(bytes)));
  co_await round_trip();
  co_await f.close();
  CHECK_FALSE(f);
  const std::error_code code = co_await reading;
  CHECK(code == rondo::errc::closed);
  const std::error_code again = co_await code_of(f.close());  // nothing is left to do
  CHECK_FALSE(again);
  const std::error_code read = co_await code_of(f.read(bytes));
  CHECK(read == std::errc::bad_file_descriptor);
}

LOOP_TEST("close closes in a canceled scope, too") {
  const auto before = rondo_test::open_descriptors();
  auto closing =
      rondo::spawn([](file f) -> task<std::error_code> { co_return co_await code_of(f.close()); },
                   co_await file::open("/dev/null"));
  closing.cancel();
  const std::error_code code = co_await closing;
  CHECK(code == std::error_code());
  CHECK(rondo_test::open_descriptors() == before);
}

// Cancellation

LOOP_TEST("reading and writing are canceled, and the file can be used afterwards") {
  pipe_ends pipe(4096);
  file out = file::adopt(pipe.reader.release());
  file in = file::adopt(pipe.writer.release());
  std::string bytes(100'000, '\0');
  const std::error_code read = co_await code_of(rondo::with_timeout(1ms, out.read(bytes)));
  const std::error_code all = co_await code_of(rondo::with_timeout(1ms, out.read_all()));
  const std::error_code written = co_await code_of(rondo::with_timeout(1ms, in.write(bytes)));
  CHECK(read == std::errc::timed_out);
  CHECK(all == std::errc::timed_out);
  CHECK(written == std::errc::timed_out);
  const std::size_t n = co_await out.read(bytes);
  CHECK(n == 4096);  // what had gone before the cancellation
  co_await in.write("x");
  const std::size_t one = co_await out.read(bytes);
  CHECK(one == 1);
}

LOOP_TEST("read_exactly that is canceled half-way loses what came, and no more") {
  pipe_ends pipe;
  file out = file::adopt(pipe.reader.release());
  std::string bytes(4, '\0');
  co_await rondo::io::write(pipe.in(), "ab");
  const std::error_code code = co_await code_of(rondo::with_timeout(1ms, out.read_exactly(bytes)));
  CHECK(code == std::errc::timed_out);
  co_await rondo::io::write(pipe.in(), "wxyz");
  co_await out.read_exactly(bytes);
  CHECK(bytes == "wxyz");
}

LOOP_TEST("every operation of a file in a canceled scope is refused") {
  const temporary_folder folder;
  put(folder / "a", "abc");
  file f = co_await file::open(folder / "a", open_mode::read | open_mode::write);
  std::string space(3, '\0');
  const auto refused = [](auto operation) -> task<bool> {
    auto running = rondo::spawn(code_of(std::move(operation)));
    running.cancel();
    const std::error_code code = co_await running;
    co_return code == rondo::errc::canceled;
  };
  const auto all = co_await rondo::when_all(
      refused(f.read(space)), refused(f.read_at(space, 0)), refused(f.read_exactly(space)),
      refused(f.read_exactly_at(space, 0)), refused(f.read_all()), refused(f.write("x")),
      refused(f.write_at("x", 0)), refused(f.write_some("x")), refused(f.size()),
      refused(f.resize(0)), refused(f.sync()), refused(f.sync_data()), refused(f.allocate(0, 10)),
      refused(f.status()));
  std::apply([](auto... each) { CHECK((each && ...)); }, all);
  CHECK(content_of(folder / "a") == "abc");
  CHECK(space == std::string(3, '\0'));
}

static rondo::task<> reads_and_writes() {
  const temporary_folder folder;
  file f =
      co_await file::open(folder / "a", open_mode::read | open_mode::write | open_mode::create);
  std::string space(10, '\0');
  for (int i = 0; i < 5; ++i) co_await f.write_at(space, 0);
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 100; ++i) {
    co_await f.write_at(space, 0);
    co_await f.read_exactly_at(space, 0);
    co_await f.size();
  }
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
}

ON_BOTH_RINGS("reading and writing a file in a loop allocates nothing", {
  rondo::loop_options options;
  options.max_threads = 1;  // another may be started later, which allocates
  rondo::run(reads_and_writes(), options);
})

LOOP_TEST("read_all from a position makes room for the rest, not for the whole file") {
  const temporary_folder folder;
  file f = co_await file::open(folder / "large", open_mode::read | open_mode::write | open_mode::create);
  co_await f.resize(std::uint64_t{1} << 40);
  CHECK(::lseek(f.native_handle(), -3, SEEK_END) > 0);
  const std::string rest = co_await f.read_all();
  CHECK(rest == std::string(3, '\0'));
  const std::string nothing = co_await f.read_all();
  CHECK(nothing.empty());
}
