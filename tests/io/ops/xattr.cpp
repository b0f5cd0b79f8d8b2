// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/ops/xattr.hpp>

#include <string>
#include <vector>

#include "io/operations.hpp"
#include "support/attributes.hpp"

using namespace rondo::test;
using rondo::task;
namespace io = rondo::io;

LOOP_TEST("an attribute is written and read, by path and by descriptor") {
  const digits d;
  co_await io::setxattr(d.path, attribute("rondo"), "by path");
  std::string space(20, '\0');
  const std::size_t size = co_await io::fgetxattr(d.fd(), attribute("rondo"), space);
  CHECK(space.substr(0, size) == "by path");
  co_await io::fsetxattr(d.fd(), attribute("rondo"), std::string("by descriptor"));
  const std::size_t longer = co_await io::getxattr(d.path, attribute("rondo"), space);
  CHECK(space.substr(0, longer) == "by descriptor");
  const std::size_t only_asked = co_await io::getxattr(d.path, attribute("rondo"), {});
  CHECK(only_asked == 13);
}

LOOP_TEST("an attribute that is not there, or there, or too long, is an error") {
  const digits d;
  std::string space(3, '\0');
  const std::string none = co_await words_of(io::getxattr(d.path, attribute("none"), space));
  CHECK(none == "getxattr " + d.path + ": " + std::system_category().message(ENODATA));
  const std::error_code no_such = co_await code_of(io::fgetxattr(d.fd(), attribute("none"), space));
  CHECK(no_such.value() == ENODATA);
  const std::error_code not_replaced =
      co_await code_of(io::setxattr(d.path, attribute("rondo"), "x", XATTR_REPLACE));
  CHECK(not_replaced.value() == ENODATA);
  co_await io::fsetxattr(d.fd(), attribute("rondo"), "much", XATTR_CREATE);
  const std::string twice =
      co_await words_of(io::fsetxattr(d.fd(), attribute("rondo"), "x", XATTR_CREATE));
  CHECK(twice == "fsetxattr: " + std::system_category().message(EEXIST));
  const std::error_code too_long =
      co_await code_of(io::getxattr(d.path, attribute("rondo"), space));
  CHECK(too_long.value() == ERANGE);
}

LOOP_TEST("names and values that are given away live until the kernel has read them") {
  const digits d;
  const auto make = [&d] {
    return io::setxattr(std::string(d.path), attribute("a_name_that_is_long"),
                        std::vector<char>(100, 'v'));
  };
  auto setting = make();
  co_await std::move(setting);
  std::string space(200, '\0');
  const std::size_t size = co_await io::getxattr(d.path, attribute("a_name_that_is_long"), space);
  CHECK(space.substr(0, size) == std::string(100, 'v'));
}

LOOP_TEST("operations on attributes end with a value or as canceled, whenever they are canceled") {
  const digits d;
  std::string space(10, '\0');
  co_await io::setxattr(d.path, attribute("rondo"), "x");
  for (int turns = 0; turns < 6; ++turns) {
    const bool a = co_await canceled_soon(io::getxattr(d.path, attribute("rondo"), space), turns);
    const bool b = co_await canceled_soon(io::fgetxattr(d.fd(), attribute("rondo"), space), turns);
    const bool c = co_await canceled_soon(io::setxattr(d.path, attribute("rondo"), "x"), turns);
    const bool e = co_await canceled_soon(io::fsetxattr(d.fd(), attribute("rondo"), "x"), turns);
    CHECK(a);
    CHECK(b);
    CHECK(c);
    CHECK(e);
  }
}
