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

}  // namespace

ON_BOTH_RINGS("out of memory: two requests at once", {
  python_server server;
  const std::string json = server / "json";
  const std::string inspect = server / "inspect";
  fail_each_allocation([&] { return requests(json, inspect); });
})
