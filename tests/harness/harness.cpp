// SPDX-License-Identifier: BSL-1.0

// The tests' own tools.

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>

#include "support/catch.hpp"
#include "support/descriptors.hpp"
#include "support/heap.hpp"

TEST_CASE("allocations are counted") {
  if (!rondo_test::heap_is_counted()) SKIP("needs a counted heap");
  const auto before = rondo_test::allocations();
  const auto live = rondo_test::live_blocks();
  auto number = std::make_unique<std::string>(100, 'x');
  const auto during = rondo_test::allocations() - before;
  const auto added = rondo_test::live_blocks() - live;
  number.reset();
  const auto left = rondo_test::live_blocks() - live;
  CHECK(during == 2);
  CHECK(added == 2);
  CHECK(left == 0);
}

TEST_CASE("aligned allocations are counted, and aligned") {
  if (!rondo_test::heap_is_counted()) SKIP("needs a counted heap");
  struct alignas(256) wide {
    char bytes[256];
  };
  const auto before = rondo_test::allocations();
  const auto block = std::make_unique<wide>();
  asm volatile("" : : "r"(block.get()) : "memory");  // otherwise clang leaves the allocation out
  const auto during = rondo_test::allocations() - before;
  const auto address = reinterpret_cast<std::uintptr_t>(block.get());
  CHECK(during == 1);
  CHECK(address % 256 == 0);
}

TEST_CASE("open descriptors are counted") {
  const auto before = rondo_test::open_descriptors();
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const auto during = rondo_test::open_descriptors();
  ::close(fd);
  const auto after = rondo_test::open_descriptors();
  CHECK(during == before + 1);
  CHECK(after == before);
}

TEST_CASE("a test can be skipped, [with] a comma in its name") {
  SKIP("needs a reason to run, " << 1);
}
