// SPDX-License-Identifier: BSL-1.0

#include <rondo/fs/copy_file.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <vector>

#include "io/operations.hpp"
#include "support/descriptors.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using rondo::copy_file;
using rondo::task;

namespace {

std::string noise(std::size_t size) {
  std::string text(size, '\0');
  std::uint64_t state = size;
  for (char& c : text) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    c = static_cast<char>(state >> 56);
  }
  return text;
}
task<bool> same_content(const std::string& a, const std::string& b) {
  const std::string one = co_await rondo::read_file(a);
  const std::string other = co_await rondo::read_file(b);
  co_return one == other;
}

/// On a file system other than that of the temporary folder, if there is one.
class folder_in_memory {
 public:
  folder_in_memory() {
    std::string name = "/dev/shm/rondo-test-XXXXXX";
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  folder_in_memory(const folder_in_memory&) = delete;
  folder_in_memory& operator=(const folder_in_memory&) = delete;
  ~folder_in_memory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] explicit operator bool() const { return !path_.empty(); }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace

LOOP_TEST("a copy has the same bytes, whatever their number") {
  const temporary_folder folder;
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 4097U, 1'000'000U, 9'000'000U}) {
    co_await rondo::write_file(folder / "a", noise(size));
    const std::uint64_t copied = co_await copy_file(folder / "a", folder / "b");
    const bool same = co_await same_content(folder / "a", folder / "b");
    CHECK(copied == size);
    CHECK(same);
  }
}

LOOP_TEST("a copy is made with the permissions of the original, and one that is there keeps its own") {
  const digits d;
  REQUIRE(::chmod(d.path.c_str(), 0755) == 0);
  const mode_t mask = ::umask(0027);
  co_await copy_file(d.path, d.folder / "new");
  put(d.folder / "old", std::string(50, 'x'));
  co_await copy_file(d.path, d.folder / "old");
  ::umask(mask);
  CHECK((status_of(d.folder / "new").st_mode & 07777) == 0750);
  CHECK((status_of(d.folder / "old").st_mode & 07777) == 0600);
  CHECK(text_in(d.folder / "old") == "0123456789");
}

LOOP_TEST("holes stay holes, in the middle and at the end") {
  const temporary_folder folder;
  const std::string from = folder / "sparse";
  {
    const rondo::descriptor fd(::open(from.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    const std::string text = noise(100'000);
    REQUIRE(::pwrite(fd.native_handle(), text.data(), text.size(), 2 << 20) == 100'000);
    REQUIRE(::pwrite(fd.native_handle(), text.data(), text.size(), 12 << 20) == 100'000);
    REQUIRE(::ftruncate(fd.native_handle(), 20 << 20) == 0);
  }
  std::vector<std::uint64_t> steps;
  const std::uint64_t copied = co_await copy_file(
      from, folder / "copy", [&steps](std::uint64_t bytes) { steps.push_back(bytes); });
  CHECK(copied == 20 << 20);
  CHECK(status_of(folder / "copy").st_size == 20 << 20);
  CHECK(status_of(folder / "copy").st_blocks <= status_of(from).st_blocks + 64);
  const bool same = co_await same_content(from, folder / "copy");
  CHECK(same);
  REQUIRE_FALSE(steps.empty());
  CHECK(steps.back() == copied);
  CHECK(std::is_sorted(steps.begin(), steps.end()));
}

LOOP_TEST("a hole and nothing else is copied") {
  const temporary_folder folder;
  put(folder / "a", "");
  REQUIRE(::truncate((folder / "a").c_str(), 1 << 20) == 0);
  const std::uint64_t copied = co_await copy_file(folder / "a", folder / "b");
  CHECK(copied == 1 << 20);
  CHECK(status_of(folder / "b").st_size == 1 << 20);
}

static task<> copies_elsewhere(const folder_in_memory& elsewhere) {
  const temporary_folder folder;
  const std::string from = folder / "a";
  {
    const rondo::descriptor fd(::open(from.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    const std::string text = noise(700'000);
    REQUIRE(::pwrite(fd.native_handle(), text.data(), text.size(), 5 << 20) == 700'000);
    REQUIRE(::ftruncate(fd.native_handle(), 10 << 20) == 0);
  }
  const std::uint64_t copied = co_await copy_file(from, elsewhere / "b");
  CHECK(copied == 10 << 20);
  const bool same = co_await same_content(from, elsewhere / "b");
  CHECK(same);
  CHECK(status_of(elsewhere / "b").st_blocks < 4000);
}
ON_BOTH_RINGS("where the file system does not copy, bytes are read and written, and holes stay", {
  const folder_in_memory elsewhere;
  if (!elsewhere) SKIP("needs /dev/shm");
  rondo::run(copies_elsewhere(elsewhere));
})

LOOP_TEST("a file that does not know its size is copied to its end") {
  const temporary_folder folder;
  const std::uint64_t copied = co_await copy_file("/proc/self/status", folder / "status");
  CHECK(copied > 100);
  CHECK(status_of(folder / "status").st_size == static_cast<off_t>(copied));
}

static task<> copies_what_lies(const char* from) {
  const temporary_folder folder;
  const std::uint64_t copied = co_await copy_file(from, folder / "page");
  CHECK(copied > 0);
  CHECK(copied < 100);
  CHECK(status_of(folder / "page").st_size == static_cast<off_t>(copied));
}
ON_BOTH_RINGS("a file that lies about its size is copied to its end", {
  const char* const says_4096 = "/sys/kernel/mm/transparent_hugepage/enabled";
  if (::access(says_4096, R_OK) != 0) SKIP("needs sysfs");
  rondo::run(copies_what_lies(says_4096));
})

LOOP_TEST("a copy to a device, and from one to a FIFO and out of it") {
  const digits d;
  const std::uint64_t gone = co_await copy_file(d.path, "/dev/null");
  CHECK(gone == 10);
  const std::uint64_t nothing = co_await copy_file("/dev/null", d.folder / "empty");
  CHECK(nothing == 0);
  const std::string fifo = d.folder / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  const auto both = co_await rondo::when_all(copy_file(d.path, fifo),
                                             copy_file(fifo, d.folder / "out"));
  CHECK(std::get<0>(both) == 10);
  CHECK(std::get<1>(both) == 10);
  CHECK(text_in(d.folder / "out") == "0123456789");
  CHECK(S_ISFIFO(status_of(fifo).st_mode));
}

LOOP_TEST("a file is not copied to itself, under whatever name") {
  const digits d;
  const std::string hard = d.folder / "hard";
  const std::string soft = d.folder / "soft";
  REQUIRE(::link(d.path.c_str(), hard.c_str()) == 0);
  REQUIRE(::symlink("digits", soft.c_str()) == 0);
  for (const std::string& to : {d.path, hard, soft}) {
    const std::string words = co_await words_of(copy_file(d.path, to));
    CHECK(words == "copy " + d.path + " to " + to + ": " + std::system_category().message(EINVAL));
    CHECK(text_in(d.path) == "0123456789");
  }
}

LOOP_TEST("what cannot be copied is an error that names the paths") {
  const digits d;
  const std::string missing = d.folder / "missing";
  const std::string none = co_await words_of(copy_file(missing, d.folder / "b"));
  CHECK(none == "open " + missing + ": " + std::system_category().message(ENOENT));
  CHECK_FALSE(exists(d.folder / "b"));
  const std::string folder = d.folder / "";
  const std::string directory = co_await words_of(copy_file(folder, d.folder / "b"));
  CHECK(directory == "copy " + folder + ": " + std::system_category().message(EISDIR));
  CHECK_FALSE(exists(d.folder / "b"));
  const std::string full = co_await words_of(copy_file(d.path, "/dev/full"));
  CHECK(full ==
        "copy " + d.path + " to /dev/full: " + std::system_category().message(ENOSPC));
}

LOOP_TEST("an error in the progress function ends the copy") {
  const digits d;
  co_await copy_file(d.path, d.folder / "b");  // what the loop keeps for older kernels is there
  const auto before = rondo_test::open_descriptors();
  const auto fails = [](std::uint64_t) { throw std::runtime_error("enough"); };
  const std::string words = co_await words_of(copy_file(d.path, d.folder / "b", fails));
  CHECK(words == "enough");
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("a copy is canceled between its parts, and leaves no descriptor") {
  const temporary_folder folder;
  co_await rondo::write_file(folder / "a", noise(20'000'000));
  const auto before = rondo_test::open_descriptors();
  auto copying = rondo::spawn([](const temporary_folder& in) -> task<std::error_code> {
    co_return co_await code_of(copy_file(in / "a", in / "b"));
  }, std::ref(folder));
  while (!exists(folder / "b")) co_await rondo::sleep_for(100us);
  copying.cancel();
  const std::error_code code = co_await copying;
  CHECK(code == rondo::errc::canceled);
  CHECK(rondo_test::open_descriptors() == before);
  CHECK(status_of(folder / "b").st_size < 20'000'000);
  const std::error_code refused =
      co_await in_canceled_scope(copy_file(folder / "a", folder / "c"));
  CHECK(refused == rondo::errc::canceled);
  CHECK_FALSE(exists(folder / "c"));
}
