// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/resolve.hpp>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;
using rondo::endpoint;
using rondo::resolve;
using rondo::task;

LOOP_TEST("an address is taken as it is, without a thread") {
  auto v4 = resolve("192.0.2.7", "80");
  const std::vector<endpoint> one = co_await std::move(v4);
  CHECK(one == std::vector<endpoint>(1, endpoint("192.0.2.7", 80)));
  const std::vector<endpoint> six = co_await resolve("2001:db8::1", "443");
  CHECK(six == std::vector<endpoint>(1, endpoint("2001:db8::1", 443)));
  const std::vector<endpoint> port = co_await resolve("192.0.2.7", 80);
  CHECK(port == one);
  const std::vector<endpoint> portless = co_await resolve("192.0.2.7", "");
  CHECK(portless == std::vector<endpoint>(1, endpoint("192.0.2.7", 0)));
  CHECK_FALSE(rondo::event_loop::current().threads().made());
}

LOOP_TEST("localhost is this machine") {
  const std::vector<endpoint> all = co_await resolve("localhost", "80");
  REQUIRE_FALSE(all.empty());
  for (const endpoint& e : all) {
    const bool here = e == endpoint("127.0.0.1", 80) || e == endpoint("::1", 80);
    CHECK(here);
  }
}

LOOP_TEST("a service is a number or a name") {
  const std::vector<endpoint> numbered = co_await resolve("localhost", "8080");
  CHECK(numbered.front().port() == 8080);
  const std::error_code unknown = co_await code_of(resolve("127.0.0.1", "no-such-service"));
  CHECK(unknown == std::error_code(EAI_SERVICE, rondo::resolve_category()));
}

LOOP_TEST("a host that does not exist is an error that names it") {
  const std::string host = "no-such-host.invalid";  // .invalid never exists: RFC 6761
  try {
    static_cast<void>(co_await resolve(host, "80"));
    FAIL("it exists");
  } catch (const std::system_error& e) {
    CHECK(e.code().category() == rondo::resolve_category());
    CHECK(std::string(e.code().category().name()) == "resolve");
    CHECK_THAT(e.what(), ContainsSubstring("resolve " + host + ": "));
    CHECK_THAT(e.what(), ContainsSubstring(::gai_strerror(e.code().value())));
  }
  const std::error_code nothing = co_await code_of(resolve("", ""));
  CHECK(nothing == std::error_code(EAI_NONAME, rondo::resolve_category()));
}

LOOP_TEST("a name with a zero byte in it is not the name before it") {
  const std::error_code code = co_await code_of(resolve(std::string("127.0.0.1\0.evil", 15), 80));
  CHECK(code == std::error_code(EAI_NONAME, rondo::resolve_category()));
}

LOOP_TEST("many names are looked up at once") {
  std::vector<task<std::vector<endpoint>>> all;
  for (int i = 1; i <= 50; ++i) all.push_back(resolve("localhost", std::to_string(i)));
  const auto found = co_await rondo::when_all(std::move(all));
  for (std::size_t i = 0; i < found.size(); ++i) {
    REQUIRE_FALSE(found[i].empty());
    CHECK(found[i].front().port() == i + 1);
  }
}

LOOP_TEST(
    "a look-up that is canceled before it begins is dropped, one that has begun is waited for") {
  auto refused = rondo::spawn(code_of(resolve("localhost", "80")));
  refused.cancel();
  const std::error_code code = co_await refused;
  CHECK(code == rondo::errc::canceled);
  for (int turns = 0; turns < 10; ++turns) {
    auto running = rondo::spawn(code_of(resolve("localhost", "80")));
    for (int i = 0; i < turns; ++i) co_await rondo::yield();
    running.cancel();
    const std::error_code ended = co_await running;
    const bool expected = !ended || ended == rondo::errc::canceled;
    CHECK(expected);
  }
}
