// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"

using namespace rondo::test;

PYTHON_TEST("an answer is no error, whatever its status, until raise_for_status") {
  http::session session;
  for (const int status : {400, 404, 418, 500, 503}) {
    const auto url = server / ("status/" + std::to_string(status));
    const auto answer = co_await session.get(url);
    CHECK(answer.status == status);
    CHECK_FALSE(answer.ok());
    CHECK(answer.json()["sorry"] == true);
    try {
      answer.raise_for_status();
      FAIL("no error");
    } catch (const http::error& e) {
      CHECK(e.kind() == http::error_kind::status);
      CHECK(e.status() == status);
      CHECK(e.url() == url);
      CHECK(e.timeout() == http::timeout_kind::none);
      CHECK(is_one_line_with(e.what(), {"GET " + url + ": " + std::to_string(status)}));
    }
  }
}

PYTHON_TEST("the error of a status names the reason") {
  http::session session;
  const auto missing = co_await session.get(server / "status/404");
  CHECK_THROWS_WITH(missing.raise_for_status(), "GET " + server / "status/404" + ": 404 Not Found");
  const auto strange =
      co_await session.get(server / "status/499");  // http.server has no name for it
  CHECK_THROWS_WITH(strange.raise_for_status(),
                    "GET " + server / "status/499" + ": 499 the server refused the request");
}

PYTHON_TEST("raise_for_status lets good answers through, as what they are") {
  http::session session;
  const auto answer = co_await session.get(server / "json");
  CHECK(&answer.raise_for_status() == &answer);
  auto moved = (co_await session.get(server / "json")).raise_for_status();
  CHECK(std::move(moved).text() == R"({"answer": 42})");
}

PYTHON_TEST("after a redirect the error names where the answer came from") {
  http::session session;
  const auto answer = co_await session.get(server / "redirect?code=302&to=/status/404");
  try {
    answer.raise_for_status();
    FAIL("no error");
  } catch (const http::error& e) {
    CHECK(e.url() == server / "status/404");
  }
}

PYTHON_TEST("a body that is not JSON is an error in one line, which says where") {
  http::session session;
  for (const char* body : {"", "{\"a\": 1", "<html>\n</html>", "{\"a\":\n\x01}", "\xff"}) {
    const auto answer = co_await session.post(server / "echo", body);
    CHECK(answer.text() == body);
    try {
      static_cast<void>(answer.json());
      FAIL("no error");
    } catch (const http::error& e) {
      CHECK(e.kind() == http::error_kind::invalid_json);
      CHECK(is_one_line_with(e.what(), {"POST " + server / "echo", "not JSON", "line"}));
    }
  }
}

PYTHON_TEST("JSON is what its text says, whatever its type is called") {
  http::session session;
  const auto answer = co_await session.post(server / "echo", R"([1, "ä", null, {"b": 2.5}])");
  const auto json = answer.json();
  CHECK(json[1] == "ä");
  CHECK(json[3]["b"] == 2.5);
  const auto large = co_await session.post(server / "echo", "[" + std::string(100'000, '['));
  CHECK_THROWS_AS(large.json(), http::error);
}

TEST_CASE("an answer that was never received is empty") {
  const http::response nothing;
  CHECK(nothing.status == 0);
  CHECK(nothing.text().empty());
  CHECK(nothing.headers.empty());
}
