// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/descriptor.hpp>

#include <fcntl.h>

#include <type_traits>
#include <utility>

#include "support/catch.hpp"
#include "support/descriptors.hpp"

using rondo::descriptor;

namespace {
int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) != -1; }
}  // namespace

static_assert(!std::is_copy_constructible_v<descriptor>);
static_assert(!std::is_copy_assignable_v<descriptor>);
static_assert(std::is_nothrow_move_constructible_v<descriptor>);
static_assert(std::is_nothrow_move_assignable_v<descriptor>);
static_assert(!std::is_convertible_v<int, descriptor>);
static_assert(!std::is_convertible_v<descriptor, int>);

TEST_CASE("a descriptor closes itself") {
  const auto before = rondo_test::open_descriptors();
  const int fd = open_null();
  {
    const descriptor d(fd);
    CHECK(d);
    CHECK(d.native_handle() == fd);
    CHECK(is_open(fd));
  }
  CHECK_FALSE(is_open(fd));
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("a descriptor without a number is empty") {
  const descriptor d;
  CHECK_FALSE(d);
  CHECK(d.native_handle() == -1);
}

TEST_CASE("a descriptor that was moved from is empty, and closes nothing") {
  const int fd = open_null();
  descriptor from(fd);
  const descriptor to(std::move(from));
  CHECK_FALSE(from);
  CHECK(to.native_handle() == fd);
  CHECK(is_open(fd));
}

TEST_CASE("a descriptor that is assigned to closes what it had") {
  const int old_fd = open_null();
  const int new_fd = open_null();
  descriptor d(old_fd);
  d = descriptor(new_fd);
  CHECK(d.native_handle() == new_fd);
  CHECK_FALSE(is_open(old_fd));
  CHECK(is_open(new_fd));
}

TEST_CASE("a descriptor that is assigned to itself stays open") {
  descriptor d(open_null());
  descriptor& same = d;
  d = std::move(same);
  CHECK(d);
  CHECK(is_open(d.native_handle()));
}

TEST_CASE("release gives the number away, and adopt takes it over") {
  const int fd = open_null();
  descriptor d(fd);
  CHECK(d.release() == fd);
  CHECK_FALSE(d);
  CHECK(d.release() == -1);
  CHECK(is_open(fd));
  const descriptor again = descriptor::adopt(fd);
  CHECK(again.native_handle() == fd);
}

TEST_CASE("swap exchanges two descriptors") {
  const int fd = open_null();
  descriptor a(fd);
  descriptor b;
  a.swap(b);
  CHECK_FALSE(a);
  CHECK(b.native_handle() == fd);
}
