// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/rows.hpp>

#include "postgres/servers.hpp"

using namespace rondo::test;
using rondo::task;

POSTGRES_TEST("rows are gone through, and taken apart into tuples") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows =
      co_await c.query("select g as n, 'x' || g as name from generate_series(1, 3) g");
  int sum = 0;
  std::string names;
  for (const auto row : rows) {
    const auto [n, name] = row.as<int, std::string>();
    sum += n;
    names += name;
  }
  CHECK(sum == 6);
  CHECK(names == "x1x2x3");
  CHECK(rows.size() == 3);
  CHECK(rows.columns() == 2);
  CHECK(rows[0].size() == 2);
  CHECK(rows.column_name(1) == "name");
  CHECK(rows.affected() == 3);
  CHECK(rows.command() == "SELECT 3");
}

POSTGRES_TEST("a row or a column that is not there is named") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows = co_await c.query("select 1 as a, 2 as \"B\"");
  CHECK_THROWS_AS(rows[1], std::out_of_range);
  CHECK_THROWS_AS(rows[0].get<int>(2), std::out_of_range);
  CHECK_THROWS_AS(rows[0].get<int>("b"), std::out_of_range);
  CHECK_THROWS_AS(rows[0].is_null("c"), std::out_of_range);
  CHECK_THROWS_AS(rows.column_name(2), std::out_of_range);
  CHECK(rows[0].get<int>("B") == 2);
}

POSTGRES_TEST("rows outlive their connection") {
  postgres::rows rows;
  CHECK(rows.empty());
  CHECK(rows.affected() == 0);
  CHECK(rows.command().empty());
  {
    auto c = co_await postgres::connect(server.conninfo());
    rows = co_await c.query("select 'still here' as text");
  }
  CHECK(rows[0].get<std::string_view>("text") == "still here");
}

POSTGRES_TEST("what a binary cursor gives is refused instead of being misread") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("begin; declare b binary cursor for select 1");
  const auto rows = co_await c.query("fetch b");
  CHECK_THROWS_AS(rows[0].get<int>(0), postgres::error);
}
