// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/aligned_buffer.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "io/operations.hpp"

using namespace rondo::test;
using rondo::aligned_buffer;
using rondo::file;
using rondo::open_mode;

namespace {

bool aligned(const void* p, std::size_t to) {
  return reinterpret_cast<std::uintptr_t>(p) % to == 0;
}

}  // namespace

TEST_CASE("an aligned buffer is aligned, and as large as asked for, rounded up") {
  const aligned_buffer usual(1);
  CHECK(aligned(usual.data(), 4096));
  CHECK(usual.size() == 4096);
  const aligned_buffer large(1'000'000, 65536);
  CHECK(aligned(large.data(), 65536));
  CHECK(large.size() == 16 * 65536);
  const aligned_buffer none(0);
  CHECK(none.size() == 0);
  CHECK(aligned_buffer().size() == 0);
}

TEST_CASE("an aligned buffer moves, and the old one is empty then") {
  aligned_buffer a(100);
  std::byte* const at = a.data();
  aligned_buffer b(std::move(a));
  CHECK(b.data() == at);
  CHECK(b.size() == 4096);
  CHECK(a.size() == 0);
  a = std::move(b);
  CHECK(a.data() == at);
  CHECK(b.size() == 0);
  CHECK(a.part(512, 1024).data() == at + 512);
  CHECK(a.part(512, 1024).size() == 1024);
}

TEST_CASE("an alignment that is no power of two, or a size that no memory has, is an error") {
  CHECK_THROWS_AS(aligned_buffer(10, 0), std::invalid_argument);
  CHECK_THROWS_AS(aligned_buffer(10, 3000), std::invalid_argument);
  CHECK_THROWS_AS(aligned_buffer(static_cast<std::size_t>(-1)), std::bad_alloc);
}

LOOP_TEST("direct I/O writes and reads blocks, and is refused what is not aligned") {
  const temporary_folder folder;
  const std::string path = folder / "a";
  aligned_buffer block(8192);
  for (std::size_t i = 0; i < block.size(); ++i) block.data()[i] = static_cast<std::byte>(i % 251);
  file f;
  try {
    f = co_await file::open(path, open_mode::read | open_mode::write | open_mode::create |
                                      open_mode::direct);
  } catch (const std::system_error& e) {
    REQUIRE(e.code() == std::errc::invalid_argument);  // this file system has no direct I/O
    co_return;
  }
  CHECK((::fcntl(f.native_handle(), F_GETFL) & O_DIRECT) != 0);
  co_await f.write_at(block, 0);
  co_await f.write_at(block.part(0, 4096), 8192);
  aligned_buffer back(16384);
  const std::size_t n = co_await f.read_at(back, 0);
  CHECK(n == 12288);
  const bool same = std::equal(block.data(), block.data() + 8192, back.data()) &&
                    std::equal(block.data(), block.data() + 4096, back.data() + 8192);
  CHECK(same);
  co_await f.read_exactly_at(back.part(0, 4096), 4096);
  CHECK(std::equal(block.data() + 4096, block.data() + 8192, back.data()));
  co_await f.write_at(std::move(block), 12288);
  const std::uint64_t size = co_await f.size();
  CHECK(size == 20480);
}

LOOP_TEST("an aligned buffer is a buffer like any other") {
  pipe_ends pipe;
  aligned_buffer a(4096);
  a.data()[0] = std::byte{'x'};
  const std::size_t written = co_await rondo::io::write(pipe.in(), a);
  CHECK(written == 4096);
  aligned_buffer b(4096);
  const std::size_t read = co_await rondo::io::read(pipe.out(), b);
  CHECK(read == 4096);
  CHECK(b.data()[0] == std::byte{'x'});
  const std::size_t given_away = co_await rondo::io::write(pipe.in(), std::move(a));
  CHECK(given_away == 4096);
}
