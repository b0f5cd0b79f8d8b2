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
