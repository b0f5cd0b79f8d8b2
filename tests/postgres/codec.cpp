// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/codec.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#define RONDO_TEST_JSON 1
#else
#define RONDO_TEST_JSON 0
#endif

#include "postgres/servers.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

template <typename T>
task<> check_limits(postgres::connection& c) {
  for (const T value : {std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), T(0)}) {
    const T same = co_await back(c, value);
    CHECK(same == value);
  }
}
/// The name of the type that the server takes a value for.
template <typename T>
task<std::string> type_of(postgres::connection& c, T value) {
  const postgres::rows rows = co_await c.query("select pg_typeof($1)::text", value);
  co_return rows[0].get<std::string>(0);
}
/// What cannot be read from a literal of SQL, in words.
template <typename T>
task<std::string> misread(postgres::connection& c, std::string literal) {
  const postgres::rows rows = co_await c.query("select " + literal + " as it");
  try {
    static_cast<void>(rows[0].get<T>(0));
  } catch (const postgres::error& e) {
    CHECK(e.kind() == postgres::error_kind::conversion);
    co_return e.what();
  }
  co_return "";
}

enum class color { red, green };

}  // namespace

template <>
struct rondo::postgres::codec<color> {
  static constexpr unsigned oid = 0;
  static void write(color c, std::string& to) { to += c == color::red ? "red" : "green"; }
  static color read(std::string_view text) { return text == "red" ? color::red : color::green; }
};

POSTGRES_TEST(
    "integers of all sizes go there and back, and are of the server's type of that size") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await check_limits<std::int8_t>(c);
  co_await check_limits<std::uint8_t>(c);
  co_await check_limits<std::int16_t>(c);
  co_await check_limits<std::uint16_t>(c);
  co_await check_limits<std::int32_t>(c);
  co_await check_limits<std::uint32_t>(c);
  co_await check_limits<std::int64_t>(c);
  co_await check_limits<std::uint64_t>(c);
  const std::string small = co_await type_of(c, short{1});
  const std::string plain = co_await type_of(c, 1);
  const std::string wide = co_await type_of(c, 1U);
  const std::string widest = co_await type_of(c, std::uint64_t{1});
  CHECK(small == "smallint");
  CHECK(plain == "integer");
  CHECK(wide == "bigint");
  CHECK(widest == "numeric");
}

POSTGRES_TEST("floating point numbers go there and back without losing a bit") {
  auto c = co_await postgres::connect(server.conninfo());
  for (const double value : {0.1, -1e308, 5e-324, 1.0 / 3, 0.0}) {
    const double same = co_await back(c, value);
    CHECK(same == value);
  }
  const float third = co_await back(c, 1.0F / 3);
  CHECK(third == 1.0F / 3);
  const double infinite = co_await back(c, -std::numeric_limits<double>::infinity());
  const double none = co_await back(c, std::nan(""));
  CHECK(infinite == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(none));
}

POSTGRES_TEST("text goes where any type is expected, and comes from any column") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows = co_await c.query(
      "select $1::uuid as u, $2::inet as i, $3::date - date '2024-01-01' as d, $4::text as t",
      "00000000-0000-0000-0000-000000000001", std::string("10.0.0.1"),
      std::string_view("2024-01-08"), "\xc3\xa9 '; drop table t; --");
  CHECK(rows[0].get<std::string>("u") == "00000000-0000-0000-0000-000000000001");
  CHECK(rows[0].get<std::string_view>("i") == "10.0.0.1");
  CHECK(rows[0].get<std::string>("d") == "7");
  CHECK(rows[0].get<std::string>("t") == "\xc3\xa9 '; drop table t; --");
}

POSTGRES_TEST("booleans") {
  auto c = co_await postgres::connect(server.conninfo());
  for (const bool value : {true, false}) {
    const bool same = co_await back(c, value);
    CHECK(same == value);
  }
}

POSTGRES_TEST("bytes, in both of the server's styles") {
  auto c = co_await postgres::connect(server.conninfo());
  std::vector<std::byte> bytes;
  for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<std::byte>(i));
  for (const char* const style : {"hex", "escape"}) {
    co_await c.query(std::string("set bytea_output = ") + style);
    const auto same = co_await back(c, bytes);
    CHECK(same == bytes);
    const auto none = co_await back(c, std::vector<std::byte>());
    CHECK(none.empty());
  }
  const auto rows = co_await c.query("select length($1), length($2)", std::span(bytes),
                                     std::span<const std::byte>(bytes));
  CHECK(rows[0].get<int>(0) == 256);
  CHECK(rows[0].get<int>(1) == 256);
}

POSTGRES_TEST("null is an empty optional, both ways") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows =
      co_await c.query("select $1::int as a, $2::int as b, $3::text as c, $4::int as d", nullptr,
                       std::optional<int>(), std::nullopt, std::optional(4));
  CHECK(rows[0].get<std::optional<int>>("a") == std::nullopt);
  CHECK(rows[0].is_null("b"));
  CHECK(rows[0].get<std::optional<std::string>>("c") == std::nullopt);
  CHECK(rows[0].get<std::optional<int>>("d") == 4);
  const char* const unset = nullptr;
  const auto pointers = co_await c.query("select $1::text as a, $2::text as b", unset, "text");
  CHECK(pointers[0].is_null("a"));
  CHECK(pointers[0].get<std::string>("b") == "text");
  CHECK_FALSE(rows[0].is_null("d"));
  std::string said;
  try {
    static_cast<void>(rows[0].get<int>("a"));
  } catch (const postgres::error& e) {
    said = e.what();
  }
  CHECK(said == "column \"a\": it is null; ask for a std::optional");
}

POSTGRES_TEST("JSON as a text") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows =
      co_await c.query("select $1->>'a' as a, '[1]'::json as plain", postgres::json(R"({"a": 5})"));
  CHECK(rows[0].get<int>("a") == 5);
  CHECK(rows[0].get<postgres::json>("plain").text == "[1]");
}

#if RONDO_TEST_JSON
POSTGRES_TEST("JSON as a class") {
  auto c = co_await postgres::connect(server.conninfo());
  const nlohmann::json value = {{"name", "x\"y\\"}, {"list", {1, nullptr, 2.5}}};
  const auto same = co_await back(c, value);
  CHECK(same == value);
  const auto rows = co_await c.query("select '[1]'::json as plain");
  CHECK(rows[0].get<nlohmann::json>("plain") == nlohmann::json::array({1}));
  const std::string none = co_await misread<nlohmann::json>(c, "'[1'::text");
  CHECK(none == "column \"it\": \"[1\" is not JSON");
}
#endif

POSTGRES_TEST("a type of one's own") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows = co_await c.query("select $1::text as it, $2::text as none", color::green,
                                     std::optional<color>());
  CHECK(rows[0].get<color>("it") == color::green);
  CHECK(rows[0].get<std::optional<color>>("none") == std::nullopt);
}

POSTGRES_TEST("what does not fit says so, with the column and the value") {
  auto c = co_await postgres::connect(server.conninfo());
  const std::string big = co_await misread<std::int16_t>(c, "40000");
  CHECK(big == "column \"it\": \"40000\" is not an integer of that size");
  const std::string negative = co_await misread<unsigned>(c, "-1");
  CHECK_FALSE(negative.empty());
  const std::string fraction = co_await misread<int>(c, "1.5");
  CHECK_FALSE(fraction.empty());
  const std::string word = co_await misread<double>(c, "'word'::text");
  CHECK(word == "column \"it\": \"word\" is not a number");
  const std::string yes = co_await misread<bool>(c, "'yes'::text");
  CHECK_FALSE(yes.empty());
  const std::string hex = co_await misread<std::vector<std::byte>>(c, "'\\x0g'::text");
  CHECK_FALSE(hex.empty());
  const std::string odd = co_await misread<std::vector<std::byte>>(c, "'\\x0'::text");
  CHECK_FALSE(odd.empty());
  const std::string octal = co_await misread<std::vector<std::byte>>(c, "'a\\9'::text");
  CHECK_FALSE(octal.empty());
}
