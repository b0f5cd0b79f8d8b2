// SPDX-License-Identifier: BSL-1.0

#include <rondo/io/path.hpp>

#include <filesystem>
#include <memory_resource>
#include <string>
#include <string_view>
#include <type_traits>

#include "support/catch.hpp"
#include "support/heap.hpp"

using path_argument = rondo::detail::path_argument;

static_assert(std::is_convertible_v<const char*, path_argument>);
static_assert(std::is_convertible_v<std::string, path_argument>);
static_assert(std::is_convertible_v<std::string_view, path_argument>);
static_assert(std::is_convertible_v<std::filesystem::path, path_argument>);

TEST_CASE("a path is given as any kind of string") {
  const std::string string = "/a/path/that/is/too/long/for/the/inside/of/a/string";
  const std::filesystem::path path = string;
  CHECK(path_argument("/a/literal").c_str() == std::string("/a/literal"));
  CHECK(path_argument(string).c_str() == string);
  CHECK(path_argument(path).c_str() == string);
  CHECK(path_argument(std::string(string)).c_str() == string);
  CHECK(path_argument(std::filesystem::path(path)).c_str() == string);
  CHECK(path_argument(std::string_view(string)).c_str() == string);
  CHECK(path_argument("").c_str() == std::string());
}

TEST_CASE("a view that does not end in a NUL is a path of its own") {
  const std::string_view whole = "/tmp/file.txt";
  CHECK(path_argument(whole.substr(0, 4)).c_str() == std::string("/tmp"));
}

TEST_CASE("a path that was given away moves along, short or long") {
  for (const std::string& text : {std::string("/s"), std::string(200, 'x')}) {
    path_argument first{std::string(text)};
    const path_argument second(std::move(first));
    CHECK(second.c_str() == text);
  }
}

TEST_CASE("a path that outlives the call is not copied") {
  const std::string string(1000, 'x');
  const std::filesystem::path path = string;
  const auto before = rondo_test::allocations();
  const path_argument a(string);
  const path_argument b(path);
  const path_argument c(string.c_str());
  const auto during = rondo_test::allocations() - before;
  CHECK(during == 0);
  CHECK(a.c_str() == string.c_str());
  CHECK(b.c_str() == path.c_str());
  CHECK(c.c_str() == string.c_str());
}

TEST_CASE("a path is given as whatever else a path is made from") {
  const std::filesystem::directory_entry entry("/tmp");
  CHECK(path_argument(entry).c_str() == std::string("/tmp"));
  CHECK(path_argument(u8"/a/b").c_str() == std::string("/a/b"));
  CHECK(path_argument(std::u8string(u8"/a/b")).c_str() == std::string("/a/b"));
  CHECK(path_argument(L"/a/b").c_str() == std::string("/a/b"));
  CHECK(path_argument(std::pmr::string("/a/b")).c_str() == std::string("/a/b"));
  static_assert(!std::is_convertible_v<int, path_argument>);
}
