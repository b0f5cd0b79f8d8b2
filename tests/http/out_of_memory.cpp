// SPDX-License-Identifier: BSL-1.0

// Requests while memory runs out.

#include "http/servers.hpp"
#include "support/out_of_memory.hpp"

using namespace rondo::test;

namespace {

// Without JSON: nlohmann_json's own constructors leak when memory runs out in the middle.
rondo::task<> requests(std::string json, std::string inspect) {
  http::session session;
  http::request post("POST", inspect);
  post.header("X-Test", "yes").body("text").timeout(10s);
  auto both = co_await rondo::when_all(session.get(json), session.send(std::move(post)));
  const std::string answer = std::get<0>(both).raise_for_status().text();
  expect(answer == R"({"answer": 42})", "the first is answered");
  expect(std::get<1>(both).ok(), "so is the second");
}

rondo::task<> streams(std::string url, std::string path) {
  http::session session;
  auto answer = co_await session.stream(http::request("GET", url));
  std::array<char, 50'000> part;
  std::size_t size = 0;
  while (const std::size_t n = co_await answer.read(part)) size += n;
  expect(size == 100'000, "everything is read");
  const auto saved = co_await session.download(url, path);
  expect(saved == 100'000, "and saved");
}

rondo::task<> large_bodies(std::string plain, std::string zipped) {
  http::session session;
  for (const std::string& url : {plain, zipped}) {
    http::request request("GET", url);
    request.first_byte_timeout(5s).timeout(10s);
    const auto answer = co_await session.send(std::move(request));
    expect(answer.text().size() == 100'000, "a body that counts as complete is whole");
  }
}

rondo::async_generator<std::string> three_parts() {
  for (int i = 0; i < 3; ++i) {
    co_yield std::string(10'000, 'x');
    co_await rondo::yield();
  }
}
rondo::task<> uploads(std::string echo) {
  http::session session;
  http::request request("POST", echo);
  request.body(three_parts());
  const auto answer = co_await session.send(std::move(request));
  expect(answer.text().size() == 30'000, "a body that was sent is whole");
}

rondo::task<> retries(std::string flaky) {
  http::session session(
      http::session_options().retry(http::retry_policy().attempts(2).first_delay(1us)));
  http::request request("PUT", flaky);
  const auto answer = co_await session.send(request.body("a body that is too long to be short"));
  expect(answer.attempts == 2, "the last attempt counts");
  request.retry(http::retry_policy().attempts(3).first_delay(1us).on_status(429, 503));
  const auto streamed = co_await session.stream(request);
  expect(streamed.attempts() == 3, "here, too");
}

}  // namespace

ON_BOTH_RINGS("out of memory: two requests at once", {
  python_server server;
  const std::string json = server / "json";
  const std::string inspect = server / "inspect";
  fail_each_allocation([&] { return requests(json, inspect); });
})

ON_BOTH_RINGS("out of memory: a stream and a download", {
  python_server server;
  const temporary_folder folder;
  const std::string url = server / "chunked";
  fail_each_allocation([&] { return streams(url, folder / "f"); });
})

ON_BOTH_RINGS("out of memory: no body has a gap", {
  python_server server;
  const std::string plain = server / "chunked";
  const std::string zipped = server / "gzip";
  fail_each_allocation([&] { return large_bodies(plain, zipped); });
})

ON_BOTH_RINGS("out of memory: requests that are sent again", {
  python_server server;
  const std::string flaky = server / "flaky?times=1000000000&status=503";
  fail_each_allocation([&] { return retries(flaky); });
})

ON_BOTH_RINGS("out of memory: a body that is produced while it is sent", {
  python_server server;
  const std::string echo = server / "echo";
  fail_each_allocation([&] { return uploads(echo); });
})
