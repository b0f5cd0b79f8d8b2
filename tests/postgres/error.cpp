// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/error.hpp>

#include <string>

#include "support/catch.hpp"

using namespace rondo::postgres;

TEST_CASE("an error says in one line what the server said about what") {
  error_fields fields;
  fields.sqlstate = "42P01";
  fields.message = "relation \"t\" does\nnot exist";
  fields.detail = "a  detail";
  const error e(error_kind::statement_failed, fields, "select *\n   from t\n");
  CHECK(std::string(e.what()) ==
        "relation \"t\" does not exist (42P01): a detail [select * from t]");
  CHECK(e.sqlstate() == sqlstate::undefined_table);
  CHECK(e.statement() == "select *\n   from t\n");
  CHECK(e.kind() == error_kind::statement_failed);
  CHECK(e.code() == error_kind::statement_failed);
}

TEST_CASE("a long statement is shown by its beginning, whose last character is whole") {
  const std::string sql = "select '" + std::string(190, 'x') + "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9'";
  const error e(error_kind::skipped, {}, sql);
  const std::string text = e.what();
  CHECK(text.ends_with("x\xc3\xa9...]"));
  CHECK(e.statement() == sql);
}

TEST_CASE("kinds are error codes, with conditions where there are such") {
  CHECK(std::error_code(error_kind::connect_failed) == std::errc::connection_refused);
  CHECK(std::error_code(error_kind::connection_lost) == std::errc::connection_reset);
  for (int kind = 0; kind <= 6; ++kind) CHECK_FALSE(error_category().message(kind).empty());
  CHECK(std::string(error_category().name()) == "rondo::postgres");
  CHECK_FALSE(std::string(error(error_kind::skipped, {}, "").what()).empty());
}
