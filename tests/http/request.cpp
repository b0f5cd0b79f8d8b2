// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"

using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Every value of a field that /inspect has seen; names without regard to case.
std::vector<std::string> seen(const http::response& inspected, std::string_view name) {
  http::header_map fields;
  const auto json = inspected.json();
  for (const auto& field : json["headers"]) {
    fields.add(field[0].get<std::string>(), field[1].get<std::string>());
  }
  std::vector<std::string> values;
  for (const auto value : fields.get_all(name)) values.emplace_back(value);
  return values;
}
using values = std::vector<std::string>;

}  // namespace

PYTHON_TEST("header fields are sent as given, several of a name and empty ones, too") {
  http::session session;
  const auto answer = co_await session.send(http::request("GET", server / "inspect")
                                                .header("X-One", "1")
                                                .header("x-one", "2")
                                                .header("X-Empty", "")
                                                .header("X-Colon", "a: b"));
  CHECK(seen(answer, "X-One") == values{"1", "2"});
  CHECK(seen(answer, "X-Empty") == values{""});
  CHECK(seen(answer, "X-Colon") == values{"a: b"});
}

PYTHON_TEST("blanks around the value of a header field are not sent, and one of blanks is empty") {
  http::session session(http::session_options().header("X-Usual", "\t"));
  const auto answer = co_await session.send(http::request("GET", server / "inspect")
                                                .header("X-Blank", "  ")
                                                .header("X-Tabs", " \t ")
                                                .header("X-Full", " \t a  b\t ")
                                                .header("Accept", " "));
  CHECK(seen(answer, "X-Blank") == values{""});
  CHECK(seen(answer, "X-Tabs") == values{""});
  CHECK(seen(answer, "X-Usual") == values{""});
  CHECK(seen(answer, "X-Full") == values{"a  b"});
  CHECK(seen(answer, "Accept") == values{""});  // and not libcurl's own
}

PYTHON_TEST("the session's header fields are in every request that has none of that name itself") {
  http::session session(http::session_options()
                            .header("X-Key", "session")
                            .header("Accept", "a/b")
                            .user_agent("me/1"));
  const auto plain = co_await session.get(server / "inspect");
  CHECK(seen(plain, "X-Key") == values{"session"});
  CHECK(seen(plain, "Accept") == values{"a/b"});
  CHECK(seen(plain, "User-Agent") == values{"me/1"});
  const auto own = co_await session.send(
      http::request("GET", server / "inspect").header("x-key", "own").header("user-agent", "you"));
  CHECK(seen(own, "X-Key") == values{"own"});
  CHECK(seen(own, "User-Agent") == values{"you"});
  CHECK(seen(own, "Accept") == values{"a/b"});
}

PYTHON_TEST("a query is added to the URL, and a form to the body, both encoded") {
  http::session session;
  const auto asked = co_await session.send(http::request("GET", server / "inspect#part")
                                               .query("q", "a b&c=d/\xc3\xa9")
                                               .query("page", "2")
                                               .query("-._~", ""));
  CHECK(asked.json()["target"] == "/inspect?q=a%20b%26c%3Dd%2F%C3%A9&page=2&-._~=");
  const auto more = co_await session.send(http::request("GET", server / "inspect?a=1").query("b", "2"));
  CHECK(more.json()["target"] == "/inspect?a=1&b=2");
  const auto sent = co_await session.send(
      http::request("POST", server / "inspect").form("name", "a&b").form("n", "1"));
  CHECK(sent.json()["body"] == "name=a%26b&n=1");
  CHECK(seen(sent, "Content-Type") == values{"application/x-www-form-urlencoded"});
}

PYTHON_TEST("who asks is said for a request, or for all of a session") {
  const auto url = server / "inspect";
  http::session plain;
  const auto basic = co_await plain.send(http::request("GET", url).basic_auth("me", "secret"));
  CHECK(seen(basic, "Authorization") == values{"Basic bWU6c2VjcmV0"});
  const auto bearer = co_await plain.send(http::request("GET", url).bearer_auth("t0ken"));
  CHECK(seen(bearer, "Authorization") == values{"Bearer t0ken"});
  const auto nobody = co_await plain.get(url);
  CHECK(seen(nobody, "Authorization").empty());

  http::session known(http::session_options().basic_auth("me", "secret"));
  const auto usual = co_await known.get(url);
  CHECK(seen(usual, "Authorization") == values{"Basic bWU6c2VjcmV0"});
  const auto other = co_await known.send(http::request("GET", url).bearer_auth("t0ken"));
  CHECK(seen(other, "Authorization") == values{"Bearer t0ken"});
  http::session with_token(http::session_options().bearer_auth("t0ken"));
  const auto own = co_await with_token.send(http::request("GET", url).basic_auth("me", "secret"));
  CHECK(seen(own, "Authorization") == values{"Basic bWU6c2VjcmV0"});
  CHECK_THROWS_WITH(http::request("GET", url).basic_auth("a:b", ""), ContainsSubstring("colon"));
  CHECK_THROWS_WITH(http::request("GET", url).bearer_auth("a\nb"), ContainsSubstring("line end"));
}

PYTHON_TEST("a password does not follow a redirect to another host") {
  http::session session;
  const auto other = "http://localhost:" + std::to_string(server.port()) + "/inspect";
  const auto there = server / ("redirect?code=302&to=" + other);
  const auto basic = co_await session.send(http::request("GET", there).basic_auth("me", "secret"));
  CHECK(basic.url == other);
  CHECK(seen(basic, "Authorization").empty());
  const auto bearer = co_await session.send(http::request("GET", there).bearer_auth("t0ken"));
  CHECK(seen(bearer, "Authorization").empty());
}

PYTHON_TEST("a URL is relative to the session's") {
  http::session session(http::session_options().base_url(server / "inspect/v1/"));
  const auto target = [](http::session& s, std::string url) -> rondo::task<std::string> {
    const auto answer = co_await s.get(std::move(url));
    co_return answer.url;
  };
  const auto users = co_await target(session, "users?id=1");
  CHECK(users == server / "inspect/v1/users?id=1");
  const auto root = co_await target(session, "/inspect");
  CHECK(root == server / "inspect");
  const auto up = co_await target(session, "../v2");
  CHECK(up == server / "inspect/v2");
  const auto query = co_await target(session, "users?next=https://x/");
  CHECK(query == server / "inspect/v1/users?next=https://x/");
  const auto whole = co_await target(session, server / "json");
  CHECK(whole == server / "json");
  http::session wrong(http::session_options().base_url("gopher://x/"));
  const auto error = co_await error_of(wrong.get("users"));
  CHECK(error.kind() == http::error_kind::invalid_url);
  http::session no_url(http::session_options().base_url("http://127.0.0.1:port/"));
  const auto refused = co_await error_of(no_url.get("users"));
  CHECK(refused.kind() == http::error_kind::invalid_url);
}

PYTHON_TEST("a body is sent without a guess at its type, and without a question before") {
  http::session session;
  const auto plain = co_await session.post(server / "inspect", std::string(2'000'000, 'x'));
  CHECK(seen(plain, "Content-Type").empty());
  CHECK(seen(plain, "Expect").empty());
  CHECK(seen(plain, "Content-Length") == values{"2000000"});
  const auto typed = co_await session.send(
      http::request("POST", server / "inspect").header("content-type", "text/csv").body("a,b"));
  CHECK(seen(typed, "Content-Type") == values{"text/csv"});
}

PYTHON_TEST("json makes the body and its type") {
  http::session session;
  const nlohmann::json order = {{"id", 7}, {"items", {"a", "b"}}};
  const auto answer = co_await session.send(http::request("POST", server / "inspect").json(order));
  CHECK(seen(answer, "Content-Type") == values{"application/json"});
  CHECK(nlohmann::json::parse(answer.json()["body"].get<std::string>()) == order);
  const auto typed = co_await session.send(http::request("POST", server / "inspect")
                                               .header("Content-Type", "application/ld+json")
                                               .json(order));
  CHECK(seen(typed, "Content-Type") == values{"application/ld+json"});
}

PYTHON_TEST("a request can be put together in several statements") {
  http::session session;
  http::request r("PUT", server / "inspect");
  r.header("X-A", "1");
  r.body("the body");
  r.timeout(5s);
  r.connect_timeout(5s);
  r.first_byte_timeout(5s);
  CHECK(r.method() == "PUT");
  CHECK(r.url() == server / "inspect");
  const http::request again = r;
  const auto answer = co_await session.send(std::move(r));
  CHECK(seen(answer, "X-A") == values{"1"});
  const auto second = co_await session.send(again);
  CHECK(second.json() == answer.json());
}

TEST_CASE("what is no method, no field name or no field value is refused when it is given") {
  for (const char* method : {"", "GE T", "GET\r\n", "G\xc3\x89T", "GET/1"}) {
    CHECK_THROWS_AS(http::request(method, "http://a/"), std::invalid_argument);
  }
  http::request r("GET", "http://a/");
  for (const char* name : {"", "a b", "a:", "a\r\nb", "\xc3\xa4", "(a)"}) {
    CHECK_THROWS_AS(r.header(name, "value"), std::invalid_argument);
    CHECK_THROWS_AS(http::session_options().header(name, "value"), std::invalid_argument);
  }
  using namespace std::string_view_literals;
  for (const auto value : {"a\rb"sv, "a\nb"sv, "a\r\nX-Injected: 1"sv, "a\0b"sv}) {
    CHECK_THROWS_AS(r.header("X", value), std::invalid_argument);
    CHECK_THROWS_AS(http::session_options().header("X", value), std::invalid_argument);
    CHECK_THROWS_AS(http::session_options().user_agent(std::string(value)), std::invalid_argument);
  }
  CHECK_THROWS_WITH(r.header("X-Y", "a\nb"), ContainsSubstring("X-Y"));
}

TEST_CASE("json refuses a string that is not UTF-8 when it is given") {
  CHECK_THROWS_AS(http::request("POST", "http://a/").json("\xff"), nlohmann::json::type_error);
}

// Redirects.

PYTHON_TEST("a redirect is followed, and the answer says where it came from") {
  http::session session;
  const auto answer = co_await session.get(server / "redirect?code=302&to=/inspect");
  CHECK(answer.status == 200);
  CHECK(answer.url == server / "inspect");
  CHECK(answer.json()["target"] == "/inspect");
  CHECK_FALSE(answer.headers.contains("location"));  // they are those of the last answer
}

PYTHON_TEST("what a redirect makes of the method and the body") {
  struct row {
    const char* method;
    int code;
    const char* becomes;
    const char* body;
  };
  http::session session;
  for (const row& r :
       {row{"GET", 301, "GET", ""}, row{"HEAD", 303, "HEAD", ""}, row{"POST", 301, "GET", ""},
        row{"POST", 302, "GET", ""}, row{"POST", 303, "GET", ""}, row{"POST", 307, "POST", "b"},
        row{"POST", 308, "POST", "b"}, row{"PUT", 301, "PUT", "b"}, row{"PUT", 302, "PUT", "b"},
        row{"PUT", 303, "GET", ""}, row{"PUT", 307, "PUT", "b"}, row{"PATCH", 308, "PATCH", "b"},
        row{"DELETE", 302, "DELETE", ""}, row{"DELETE", 303, "GET", ""}}) {
    http::request request(r.method,
                          server / ("redirect?to=/inspect&code=" + std::to_string(r.code)));
    const std::string_view method = r.method;
    if (method != "GET" && method != "HEAD" && method != "DELETE") request.body("b");
    const auto answer = co_await session.send(std::move(request));
    INFO(r.method << " " << r.code);
    CHECK(answer.url == server / "inspect");
    if (method == "HEAD") continue;
    CHECK(answer.json()["method"] == r.becomes);
    CHECK(answer.json()["body"] == r.body);
  }
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests[3] == "HEAD /inspect");
}

PYTHON_TEST("an answer 3xx that is no redirect is not followed, also when it names another place") {
  http::session session;
  for (const int code : {300, 305, 306, 309, 399}) {
    const auto url = server / ("redirect?to=/json&code=" + std::to_string(code));
    const auto answer = co_await session.send(http::request("PUT", url).body("b"));
    CHECK(answer.status == code);
    CHECK(answer.headers["location"] == "/json");
    CHECK(answer.text() == "moved");
    CHECK(answer.url == url);
    CHECK(answer.history.empty());
  }
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 5);
  CHECK(stats.connections == 1);
}

namespace {

/// "It was not modified" at the end of a redirect, before which there are answers of no account.
rondo::task<> redirects_to_what_was_not_modified(rondo::tcp_stream peer) {
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n");
  co_await peer.write("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n");
  static_cast<void>(co_await read_request(peer));
  co_await peer.write("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n");
  co_await peer.write("HTTP/1.1 304 Not Modified\r\nLocation: /c\r\nETag: \"7\"\r\n\r\n");
}

}  // namespace

LOOP_TEST("an answer that was not modified is none to follow, wherever it says to be") {
  http::session session;
  const auto url = start_peer(redirects_to_what_was_not_modified);
  const auto answer = co_await session.get(url + "a");
  CHECK(answer.status == 304);
  CHECK(answer.url == url + "b");
  CHECK(answer.headers["etag"] == "\"7\"");
  REQUIRE(answer.history.size() == 1);
  CHECK(answer.history[0].status == 302);
  CHECK(answer.history[0].url == url + "a");
  const auto stream = co_await session.stream(get(url + "a"));
  CHECK(stream.status() == 304);
  CHECK(stream.history().size() == 1);
}

PYTHON_TEST("redirects are not followed when the session says so") {
  http::session session(http::session_options().follow_redirects(false));
  for (const int code : {301, 303, 307}) {
    const auto url = server / ("redirect?to=/json&code=" + std::to_string(code));
    const auto answer = co_await session.send(http::request("PUT", url).body("b"));
    CHECK(answer.status == code);
    CHECK(answer.ok());
    CHECK(answer.headers["location"] == "/json");
    CHECK(answer.text() == "moved");
    CHECK(answer.url == url);
  }
}

PYTHON_TEST("too many redirects are an error of their own") {
  http::session session(http::session_options().max_redirects(4));
  const auto error = co_await error_of(session.get(server / "loop"));
  CHECK(error.kind() == http::error_kind::too_many_redirects);
  CHECK(is_one_line_with(error.what(), {"GET " + server / "loop", "redirects"}));
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 5);
}

PYTHON_TEST("a redirect to another scheme is not followed") {
  http::session session;
  const auto error =
      co_await error_of(session.get(server / "redirect?code=302&to=file:///etc/passwd"));
  CHECK(is_one_line_with(error.what(), {"GET " + server / "redirect", "file"}));
}

PYTHON_TEST("a password is not sent to where a redirect leads, when that is another host") {
  http::session session;
  const auto port = std::to_string(server.port());
  const auto target = "redirect?code=302&to=http://localhost:" + port + "/inspect";
  const auto answer = co_await session.get("http://me:secret@127.0.0.1:" + port + "/" + target);
  CHECK(answer.url == "http://localhost:" + port + "/inspect");
  CHECK(seen(answer, "Authorization").empty());
}
