// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/codec_array.hpp>

#include "postgres/servers.hpp"

using namespace rondo::test;
using rondo::task;

// A view would be one of text that nobody keeps; written, one is as good as a string.
static_assert(!rondo::postgres::readable_column<std::vector<std::string_view>>);
static_assert(!rondo::postgres::readable_column<std::vector<std::vector<std::optional<std::string_view>>>>);
static_assert(rondo::postgres::readable_column<std::vector<std::vector<std::optional<std::string>>>>);
static_assert(rondo::postgres::writable<std::vector<std::string_view>>);

POSTGRES_TEST("arrays go there and back, whatever is in their elements") {
  auto c = co_await postgres::connect(server.conninfo());
  const std::vector<int> numbers{1, -2, 3};
  const auto same_numbers = co_await back(c, numbers);
  CHECK(same_numbers == numbers);
  const std::vector<std::string> texts{"",     "NULL", "null", "a b",      "a,b", "{x}",
                                       "a\"b", "a\\b", "\t\n", "\xc3\xa9", " x "};
  const auto same_texts = co_await back(c, texts);
  CHECK(same_texts == texts);
  const auto none = co_await back(c, std::vector<double>());
  CHECK(none.empty());
  const std::vector<bool> bits{true, false};
  const auto same_bits = co_await back(c, bits);
  CHECK(same_bits == bits);
  const std::vector<std::vector<std::byte>> blobs{{std::byte{0}, std::byte{92}}, {}};
  const auto same_blobs = co_await back(c, blobs);
  CHECK(same_blobs == blobs);
}

POSTGRES_TEST("elements that are null, and arrays of several dimensions") {
  auto c = co_await postgres::connect(server.conninfo());
  const std::vector<std::optional<int>> some{1, std::nullopt, 3};
  const auto same = co_await back(c, some);
  CHECK(same == some);
  const std::vector<std::vector<std::optional<std::string>>> matrix{{"a", std::nullopt},
                                                                    {"b", "NULL"}};
  const auto same_matrix = co_await back(c, matrix);
  CHECK(same_matrix == matrix);
}

POSTGRES_TEST("an array as the set of what is looked for") {
  auto c = co_await postgres::connect(server.conninfo());
  const std::vector<int> wanted{2, 3, 50};
  const auto rows =
      co_await c.query("select g from generate_series(1, 10) g where g = any($1)", wanted);
  CHECK(rows.size() == 2);
}

POSTGRES_TEST("bounds that do not begin with 1 are skipped") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows = co_await c.query("select '[0:1]={5,6}'::int[]");
  CHECK(rows[0].get<std::vector<int>>(0) == std::vector{5, 6});
}

TEST_CASE("what is no array of that kind says so") {
  for (const char* const text :
       {"", "{", "{1", "{1,", "{1,2", "1", "{1}x", "{\"1", "{\"1\\", "{1}}"}) {
    INFO(text);
    CHECK(refuses<std::vector<int>>(text).find("is not an array") != std::string::npos);
  }
  CHECK(refuses<std::vector<int>>("{NULL}").find("std::optional") != std::string::npos);
  CHECK(refuses<std::vector<int>>("{{1}}").find("dimensions") != std::string::npos);
  CHECK(refuses<std::vector<int>>("{x}").find("is not an integer") != std::string::npos);
  CHECK_FALSE(refuses<std::vector<std::vector<int>>>("{1}").empty());
}
