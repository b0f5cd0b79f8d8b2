// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"

using namespace rondo::test;
using http::error_kind;

TEST_CASE("an error says method, URL and cause, and keeps them when it is copied") {
  const http::error error(error_kind::status, "GET", "http://a/b", "404 Not Found",
                          http::timeout_kind::none, 404);
  const http::error copy = error;
  CHECK(copy.what() == std::string("GET http://a/b: 404 Not Found"));
  CHECK(copy.url() == "http://a/b");
  CHECK(copy.kind() == error_kind::status);
  CHECK(copy.status() == 404);
  static_assert(std::is_nothrow_copy_constructible_v<http::error>);
}

TEST_CASE("an error is a system_error with its kind as code") {
  try {
    throw http::error(error_kind::timeout, "GET", "http://a/", "x", http::timeout_kind::total);
  } catch (const std::system_error& e) {
    CHECK(e.code() == error_kind::timeout);
    CHECK(e.code() == std::errc::timed_out);
    CHECK(e.code().category() == http::error_category());
    CHECK(std::string(e.code().category().name()) == "rondo::http");
  }
}

TEST_CASE("each kind has a message of its own") {
  std::vector<std::string> messages;
  for (int kind = 1; kind <= static_cast<int>(error_kind::other); ++kind) {
    messages.push_back(http::make_error_code(static_cast<error_kind>(kind)).message());
  }
  CHECK(messages.size() == 13);
  std::sort(messages.begin(), messages.end());
  CHECK(std::adjacent_find(messages.begin(), messages.end()) == messages.end());
}

TEST_CASE("a password in a URL is not shown, and nothing else is hidden") {
  const auto shown = [](const char* url) {
    return std::string(http::error(error_kind::other, "GET", url, "x").what());
  };
  CHECK(shown("http://u:p@h/") == "GET http://u:***@h/: x");
  CHECK(shown("http://u:p@q@h/?a=b:c@d") == "GET http://u:***@h/?a=b:c@d: x");
  CHECK(shown("http://u:@h") == "GET http://u:***@h: x");
  CHECK(shown("u:p@h/") == "GET u:***@h/: x");
  CHECK(shown("http:/u:p@h/") == "GET http:/u:***@h/: x");
  CHECK(shown("http:///u:p@h/") == "GET http:///u:***@h/: x");
  CHECK(shown("u:p@h/?next=http://x/") == "GET u:***@h/?next=http://x/: x");
  CHECK(shown("h:80/u:p@x") == "GET h:80/u:p@x: x");
  CHECK(shown("http:") == "GET http:: x");
  CHECK(shown("http:/") == "GET http:/: x");
  CHECK(shown("http://u@h:80/") == "GET http://u@h:80/: x");
  CHECK(shown("http://h:80/u:p@x") == "GET http://h:80/u:p@x: x");
  CHECK(shown("http://h/?next=http://u:p@x") == "GET http://h/?next=http://u:p@x: x");
}
