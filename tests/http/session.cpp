// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"

#include <atomic>
#include <cstring>
#include <fstream>
#include <random>
#include <thread>

using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string random_bytes(std::size_t size) {
  std::mt19937_64 random(7);
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    const auto word = random();
    std::memcpy(&bytes[i], &word, 8);
  }
  return bytes;
}

/// Set while this exists, however the test ends.
class environment_variable {
 public:
  environment_variable(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  environment_variable(const environment_variable&) = delete;
  environment_variable& operator=(const environment_variable&) = delete;
  ~environment_variable() { ::unsetenv(name_); }

 private:
  const char* name_;
};

}  // namespace

PYTHON_TEST("get gives status, header fields, body, URL and timings") {
  http::session session;
  const auto answer = co_await session.get(server / "json");
  CHECK(answer.status == 200);
  CHECK(answer.ok());
  CHECK(answer.headers["content-type"] == "application/json");
  CHECK(answer.text() == R"({"answer": 42})");
  CHECK(answer.json()["answer"] == 42);
  CHECK(answer.url == server / "json");
  CHECK(answer.timings.connect > 0us);
  CHECK(answer.timings.first_byte >= answer.timings.connect);
  CHECK(answer.timings.total >= answer.timings.first_byte);
  CHECK(answer.timings.tls == 0us);
}

PYTHON_TEST("each verb is sent as it is called, with its body") {
  http::session session;
  const auto url = server / "inspect";
  const auto what = [](const http::response& answer) {
    const auto json = answer.json();
    return json["method"].get<std::string>() + " " + json["body"].get<std::string>();
  };
  const auto get = co_await session.get(url);
  CHECK(what(get) == "GET ");
  const auto post = co_await session.post(url, "a");
  CHECK(what(post) == "POST a");
  const auto put = co_await session.put(url, "b");
  CHECK(what(put) == "PUT b");
  const auto patch = co_await session.patch(url, "c");
  CHECK(what(patch) == "PATCH c");
  const auto gone = co_await session.delete_(url);
  CHECK(what(gone) == "DELETE ");
  const auto options = co_await session.send(http::request("OPTIONS", url));
  CHECK(what(options) == "OPTIONS ");
  const auto own = co_await session.send(http::request("PURGE", url).body("d"));
  CHECK(what(own) == "PURGE d");
  const auto with_body = co_await session.send(http::request("DELETE", url).body("e"));
  CHECK(what(with_body) == "DELETE e");
  const auto query = co_await session.send(http::request("GET", url).body("f"));
  CHECK(what(query) == "GET f");
}

PYTHON_TEST("an empty body is sent as an empty body") {
  http::session session;
  for (const char* method : {"POST", "PUT", "PATCH"}) {
    const auto answer = co_await session.send(http::request(method, server / "inspect"));
    const auto json = answer.json();
    CHECK(json["method"] == method);
    CHECK(json["body"] == "");
    const auto length = nlohmann::json::array({"Content-Length", "0"});
    const auto& fields = json["headers"];
    CHECK(std::find(fields.begin(), fields.end(), length) != fields.end());
  }
}

PYTHON_TEST("head gives the header fields, and no body") {
  http::session session;
  const auto head = co_await session.head(server / "bytes?n=1000");
  CHECK(head.status == 200);
  CHECK(head.headers["Content-Length"] == "1000");
  CHECK(head.text().empty());
  const auto get = co_await session.get(server / "bytes?n=3");  // the connection is in order
  CHECK(get.text() == "xxx");
  const auto stats = co_await stats_of(server);
  CHECK(stats.connections == 1);
}

PYTHON_TEST("a URL without a scheme is one of http") {
  http::session session;
  const auto answer = co_await session.get("127.0.0.1:" + std::to_string(server.port()) + "/json");
  CHECK(answer.status == 200);
}

PYTHON_TEST("a name and a password in the URL are sent as they are meant") {
  http::session session;
  const auto url = "http://me:secret@127.0.0.1:" + std::to_string(server.port()) + "/inspect";
  const auto answer = co_await session.get(url);
  const auto fields = answer.json()["headers"];
  const auto wanted = nlohmann::json::array({"Authorization", "Basic bWU6c2VjcmV0"});
  CHECK(std::find(fields.begin(), fields.end(), wanted) != fields.end());
}

PYTHON_TEST("a body arrives whole, whether it has a length or comes in chunks or compressed") {
  http::session session;
  const auto chunked = co_await session.get(server / "chunked");
  CHECK(chunked.headers["transfer-encoding"] == "chunked");
  CHECK(chunked.text().size() == 100'000);
  const auto zipped = co_await session.get(server / "gzip");
  CHECK(zipped.headers["content-encoding"] == "gzip");
  const auto length = zipped.headers["content-length"];
  CHECK(std::stoul(std::string(length)) < 50'000);
  CHECK(zipped.text() == chunked.text());
}

PYTHON_TEST("bytes of any value go there and back") {
  http::session session;
  std::string bytes;
  for (int i = 0; i < 1024; ++i) bytes.push_back(static_cast<char>(i));
  const auto answer = co_await session.post(server / "echo", bytes);
  CHECK(answer.text() == bytes);
}

PYTHON_TEST("50 MB are sent and come back byte by byte") {
  http::session session;
  const std::string bytes = random_bytes(50'000'000);
  const auto answer = co_await session.post(server / "echo", bytes);
  CHECK(answer.text().size() == bytes.size());
  const bool same = answer.text() == bytes;
  CHECK(same);
}

NGINX_TEST("50 MB are downloaded while the loop does other things") {
  const std::string bytes = random_bytes(50'000'000);
  std::ofstream(server.file("large"), std::ios::binary) << bytes;
  http::session session;
  const auto [answer, other] =
      co_await rondo::when_all(session.get(server / "large"), session.get(server / "json"));
  const bool same = answer.text() == bytes;
  CHECK(same);
  CHECK(other.json()["answer"] == 42);
  CHECK(other.timings.total < answer.timings.total);
}

PYTHON_TEST("a body has the room that its head announces, and what is no body has none") {
  http::session session;
  http::session retrying(http::session_options().retry(http::retry_policy()));
  for (http::session* each : {&session, &retrying}) {
    const auto answer = co_await each->get(server / "bytes?n=5000000");
    CHECK(answer.text().size() == 5'000'000);
    CHECK(answer.text().capacity() == 5'000'000);
    const auto head = co_await each->head(server / "bytes?n=5000000");
    CHECK(head.headers["content-length"] == "5000000");
    CHECK(head.text().capacity() < 100);
  }
}

LOOP_TEST("what a server announces is not believed without limit") {
  const auto boasts = [](rondo::tcp_stream peer) -> rondo::task<> {
    static_cast<void>(co_await read_request(peer));
    co_await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\nthat was it");
  };
  http::session session;
  const auto error = co_await error_of(session.get(start_peer(boasts)));
  CHECK(error.kind() == http::error_kind::connection_lost);
}

PYTHON_TEST("two slow answers overlap") {
  http::session session;
  const stopwatch watch;
  const auto [a, b] = co_await rondo::when_all(session.get(server / "slow?ms=200"),
                                               session.get(server / "slow?ms=201"));
  const auto took = watch.elapsed();
  CHECK(took >= 200ms);
  CHECK(took < at_most(300ms));
  CHECK(took < a.timings.total + b.timings.total);  // however slow the machine is
  CHECK(a.json()["waited"] == 200);
  CHECK(b.json()["waited"] == 201);
}

PYTHON_TEST("200 requests at the same time are answered, each with its own answer") {
  http::session session(http::session_options().max_connections(0));
  std::vector<std::string> bodies;
  std::vector<decltype(session.post("", ""))> requests;
  for (int i = 0; i < 200; ++i) {
    bodies.push_back("request " + std::to_string(i));
    requests.push_back(session.post(server / "echo", bodies.back()));
  }
  const auto answers = co_await rondo::when_all(std::move(requests));
  REQUIRE(answers.size() == bodies.size());
  for (std::size_t i = 0; i < bodies.size(); ++i) CHECK(answers[i].text() == bodies[i]);
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 200);
}

PYTHON_TEST("requests are kept as tasks, in a container and out of a function") {
  http::session session;
  const auto ask = [](http::session& s, std::string url) -> rondo::task<http::response> {
    return s.get(std::move(url));
  };
  std::vector<rondo::task<http::response>> requests;
  requests.push_back(ask(session, server / "json"));
  requests.push_back(session.post(server / "echo", "words"));
  const auto answers = co_await rondo::when_all(std::move(requests));
  CHECK(answers[0].json()["answer"] == 42);
  CHECK(answers[1].text() == "words");
}

NGINX_TEST("10 sequential rounds of 200 concurrent requests use no more connections than allowed") {
  http::session session;
  const auto before = rondo_test::open_descriptors();
  for (int round = 0; round < 10; ++round) {
    std::vector<rondo::task<std::string>> requests;
    for (int i = 0; i < 200; ++i) requests.push_back(text_of(session, server / "json"));
    for (const auto& text : co_await rondo::when_all(std::move(requests))) {
      if (text != R"({"answer":42})") FAIL(text);
    }
  }
  CHECK(rondo_test::open_descriptors() <= before + 100);
}

PYTHON_TEST("a request is not sent before it is awaited") {
  http::session session;
  {
    [[maybe_unused]] const auto dropped = session.get(server / "json");
    [[maybe_unused]] const auto too = session.post(server / "json", "body");
    co_await rondo::sleep_for(20ms);
  }
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.empty());
  CHECK(stats.connections == 0);
}

PYTHON_TEST("a request keeps nothing of what it was made from") {
  http::session session;
  std::string url = server / "inspect";
  std::string value = "the value";
  http::request request("PUT", url);
  request.header("X-Value", value).body(std::string("the body"));
  auto sending = session.send(std::move(request));
  url.assign(url.size(), '!');
  value.assign(value.size(), '!');
  const auto answer = co_await std::move(sending);
  CHECK(answer.json()["body"] == "the body");
  CHECK_THAT(answer.text(), ContainsSubstring("the value"));
}

PYTHON_TEST("a session can be moved while nothing is in flight") {
  http::session first;
  const auto a = co_await first.get(server / "json");
  http::session second = std::move(first);
  const auto b = co_await second.get(server / "json");
  CHECK(b.status == a.status);
  const auto stats = co_await stats_of(server);
  CHECK(stats.connections == 1);
}

PYTHON_TEST("requests may be raced") {
  http::session session;
  const auto winner =
      co_await rondo::with_timeout(5s, rondo::when_all(session.get(server / "json")));
  CHECK(std::get<0>(winner).status == 200);
}

PYTHON_TEST("cookies are kept by the session, and sent to where they belong") {
  const auto sent = [](const http::response& inspected) -> std::string {
    const auto json = inspected.json();
    for (const auto& field : json["headers"]) {
      if (field[0] == "Cookie") return field[1];
    }
    return "none";
  };
  http::session session;
  const auto redirected = co_await session.get(server / "cookie?a=1");
  CHECK(sent(redirected) == "a=1");
  const auto [one, two] =
      co_await rondo::when_all(session.get(server / "inspect"), session.get(server / "inspect"));
  CHECK(sent(one) == "a=1");
  CHECK(sent(two) == "a=1");
  const auto changed = co_await session.get(server / "cookie?a=2");
  CHECK(sent(changed) == "a=2");
  const auto elsewhere =
      co_await session.get("http://localhost:" + std::to_string(server.port()) + "/inspect");
  CHECK(sent(elsewhere) == "none");
  http::session other;
  const auto unknown = co_await other.get(server / "inspect");
  CHECK(sent(unknown) == "none");
  http::session without(http::session_options().cookies(false));
  const auto ignored = co_await without.get(server / "cookie?a=1");
  CHECK(sent(ignored) == "none");
}

TEST_CASE("threads have sessions of their own, at the same time") {
  python_server server;
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      http::session session;
      const auto body = [&]() -> rondo::task<> {
        for (int n = 0; n < 25; ++n) {
          const auto text = co_await text_of(session, server / "json");
          if (text == R"({"answer": 42})") ++right;
        }
      };
      rondo::run(body());
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right == 100);
}

PYTHON_TEST("an answer knows the redirects before it") {
  http::session session;
  const auto second = server / "redirect?code=307&to=/json";
  auto request = http::request("GET", server / "redirect").query("code", "302").query("to", second);
  const std::string first = request.url();
  const auto answer = co_await session.send(std::move(request));
  REQUIRE(answer.history.size() == 2);
  CHECK(answer.history[0].status == 302);
  CHECK(answer.history[0].url == first);
  CHECK(answer.history[1].status == 307);
  CHECK(answer.history[1].url == second);
  const auto plain = co_await session.get(server / "json");
  CHECK(plain.history.empty());
}

PYTHON_TEST("a session has a proxy of its own, or none") {
  const environment_variable proxy("http_proxy", "http://127.0.0.1:1");
  http::session own(http::session_options().proxy(server / ""));
  const auto through = co_await own.get("http://example.invalid/a");
  CHECK(through.json()["target"] == "http://example.invalid/a");
  http::session none(http::session_options().proxy(""));
  const auto direct = co_await none.get(server / "inspect");
  CHECK(direct.json()["target"] == "/inspect");
}

PYTHON_TEST("the proxy of the environment is asked") {
  const environment_variable proxy("http_proxy", server / "");
  http::session session;
  const auto answer = co_await session.get("http://somewhere.invalid/a?b=c");
  CHECK(answer.json()["target"] == "http://somewhere.invalid/a?b=c");
}

PYTHON_TEST("after a redirect the error names the method that was refused") {
  http::session session;
  const auto answer = co_await session.post(server / "redirect?code=303&to=/status/404", "body");
  std::string words;
  try {
    answer.raise_for_status();
  } catch (const http::error& e) {
    words = e.what();
  }
  CHECK(words.starts_with("GET http://"));
}
