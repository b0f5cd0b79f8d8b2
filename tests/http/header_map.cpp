// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"

using namespace rondo::test;

namespace {

http::header_map some_fields() {
  http::header_map fields;
  fields.add("Content-Type", "text/plain");
  fields.add("Set-Cookie", "a=1");
  fields.add("set-cookie", "b=2");
  return fields;
}

}  // namespace

TEST_CASE("a name is found whatever its case, and the first value is given") {
  const auto fields = some_fields();
  CHECK(fields["content-type"] == "text/plain");
  CHECK(fields["CONTENT-TYPE"] == "text/plain");
  CHECK(fields["Set-Cookie"] == "a=1");
  CHECK(fields.contains("SET-COOKIE"));
  CHECK(fields.find("set-cookie")->second == "a=1");
}

TEST_CASE("only ASCII letters have a case") {
  http::header_map fields;
  fields.add("x@y", "1");
  fields.add("x[y", "2");
  CHECK(fields["x`y"].empty());
  CHECK(fields["x{y"].empty());
  CHECK(fields["X[Y"] == "2");
}

TEST_CASE("a name that is not there gives an empty value") {
  const auto fields = some_fields();
  CHECK(fields["content"].empty());
  CHECK(fields["content-type-"].empty());
  CHECK(fields[""].empty());
  CHECK_FALSE(fields.contains("x"));
  CHECK(fields.find("x") == fields.end());
}

TEST_CASE("all values of a name are given in order") {
  const auto fields = some_fields();
  CHECK(fields.get_all("Set-cookie") == std::vector<std::string_view>{"a=1", "b=2"});
  CHECK(fields.get_all("x").empty());
}

TEST_CASE("fields are walked through in the order in which they came") {
  std::string all;
  for (const auto& [name, value] : some_fields()) all += name + ": " + value + "\n";
  CHECK(all == "Content-Type: text/plain\nSet-Cookie: a=1\nset-cookie: b=2\n");
}

PYTHON_TEST("the fields of an answer are as the server sent them, without blanks around") {
  http::session session;
  const auto answer = co_await session.get(server / "duplicates");
  CHECK(answer.headers.get_all("set-cookie") == std::vector<std::string_view>{"a=1", "b=2"});
  CHECK(answer.headers.contains("x-empty"));
  CHECK(answer.headers["x-empty"].empty());
  CHECK(answer.headers["x-blanks"] == "in the middle");
}
