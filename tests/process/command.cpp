// SPDX-License-Identifier: BSL-1.0

#include <rondo/process/command.hpp>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using rondo::command;
using rondo::shell;

namespace {

using strings = std::vector<std::string>;

long count(const command& c, std::string_view entry) {
  const strings all = c.environment();
  return std::count(all.begin(), all.end(), entry);
}
strings words_given_to(command c) { return c.words(); }

}  // namespace

static_assert(std::is_convertible_v<const char*, command>);
static_assert(std::is_convertible_v<std::string, command>);
static_assert(!std::is_convertible_v<int, command>);
static_assert(!std::is_aggregate_v<command>);

TEST_CASE("words are whatever strings are made from, and braces make a command") {
  const std::string_view view = "-b";
  const std::filesystem::path path = "/c d";
  CHECK(command("a", std::string("x y"), view, path).words() == strings{"a", "x y", "-b", "/c d"});
  CHECK(words_given_to({"ls", "-l"}) == strings{"ls", "-l"});
  CHECK(words_given_to("ls") == strings{"ls"});
  command copy = command("a").arg("b");
  copy.arg("c").arg("");
  CHECK(command(copy).words() == strings{"a", "b", "c", ""});
  CHECK(shell("a | b").words() == strings{"/bin/sh", "-c", "a | b"});
}

TEST_CASE("the environment is this process's, with what is added, or without it") {
  ::setenv("RONDO_TEST_VARIABLE", "outside", 1);
  ::setenv("RONDO_TEST_VARIABLE_2", "other", 1);
  command c("x");
  CHECK(count(c, "RONDO_TEST_VARIABLE=outside") == 1);
  c.env("RONDO_TEST_VARIABLE", "first").env("RONDO_TEST_VARIABLE", "second");
  CHECK(count(c, "RONDO_TEST_VARIABLE=outside") == 0);
  CHECK(count(c, "RONDO_TEST_VARIABLE=first") == 0);
  CHECK(count(c, "RONDO_TEST_VARIABLE=second") == 1);
  CHECK(count(c, "RONDO_TEST_VARIABLE_2=other") == 1);
  c.clear_env();
  CHECK(c.environment().empty());
  CHECK(command("x").clear_env().env("A", "=1").environment() == strings{"A==1"});
  ::unsetenv("RONDO_TEST_VARIABLE");
  ::unsetenv("RONDO_TEST_VARIABLE_2");
}

TEST_CASE("what the system could not take is refused at once") {
  using namespace std::string_literals;
  CHECK_THROWS_AS(command("a\0b"s), std::invalid_argument);
  CHECK_THROWS_AS(command("a").arg("\0"s), std::invalid_argument);
  CHECK_THROWS_AS(command("a").env("A=B", "c"), std::invalid_argument);
  CHECK_THROWS_AS(command("a").env("", "c"), std::invalid_argument);
  CHECK_THROWS_AS(command("a").cwd("\0"s), std::invalid_argument);
}
