// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/endpoint.hpp>

#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "support/catch.hpp"

using Catch::Matchers::ContainsSubstring;
using rondo::endpoint;

namespace {

std::string read_and_written(std::string_view text) { return to_string(endpoint::parse(text)); }

bool parses(std::string_view text) {
  try {
    static_cast<void>(endpoint::parse(text));
    return true;
  } catch (const std::invalid_argument& e) {
    // It repeats what was given, and says what was expected.
    CHECK_THAT(e.what(), ContainsSubstring(std::string(text)));
    CHECK_THAT(e.what(), ContainsSubstring("127.0.0.1:80"));
    return false;
  }
}

}  // namespace

// Parsing and formatting

TEST_CASE("an IPv4 endpoint is parsed and formatted") {
  const endpoint e = endpoint::parse("192.0.2.7:8080");
  CHECK(e.is_v4());
  CHECK_FALSE(e.is_v6());
  CHECK_FALSE(e.is_unix());
  CHECK(e.family() == AF_INET);
  CHECK(e.address() == "192.0.2.7");
  CHECK(e.port() == 8080);
  CHECK(to_string(e) == "192.0.2.7:8080");
  CHECK(e.native()->sa_family == AF_INET);
  CHECK(e.native_size() == sizeof(sockaddr_in));
}

TEST_CASE("an IPv6 endpoint is parsed and formatted in its shortest form") {
  const endpoint e = endpoint::parse("[2001:db8:0:0::1]:443");
  CHECK(e.is_v6());
  CHECK_FALSE(e.is_v4());
  CHECK(e.address() == "2001:db8::1");
  CHECK(e.port() == 443);
  CHECK(to_string(e) == "[2001:db8::1]:443");
  CHECK(e.native_size() == sizeof(sockaddr_in6));
  CHECK(read_and_written("[::]:0") == "[::]:0");
  CHECK(read_and_written("[::1]:65535") == "[::1]:65535");
  CHECK(read_and_written("[::ffff:192.0.2.7]:1") == "[::ffff:192.0.2.7]:1");
}

TEST_CASE("an IPv6 address keeps its zone, which must be an interface") {
  const endpoint e = endpoint::parse("[fe80::1%lo]:80");
  CHECK(e.address() == "fe80::1%lo");
  CHECK(to_string(e) == "[fe80::1%lo]:80");
  CHECK(e != endpoint::parse("[fe80::1]:80"));
  CHECK_FALSE(parses("[fe80::1%no-such]:80"));
  CHECK_FALSE(parses("[fe80::1%]:80"));
}

TEST_CASE("ports are numbers from 0 to 65535") {
  CHECK(endpoint::parse("127.0.0.1:0").port() == 0);
  CHECK(endpoint::parse("127.0.0.1:65535").port() == 65535);
  for (const char* text :
       {"127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:1 ",
        "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:0x10", "127.0.0.1:99999999999999999999"}) {
    CAPTURE(text);
    CHECK_FALSE(parses(text));
  }
}

TEST_CASE("what is no endpoint is refused with what was given and what was expected") {
  for (const char* text : {"",
                           ":",
                           ":80",
                           "127.0.0.1",
                           "::1",
                           "[::1]",
                           "::1:80",
                           "[::1]80",
                           "[127.0.0.1]:80",
                           "localhost:80",
                           "127.0.0.1.1:80",
                           "127.0.0:80",
                           "256.0.0.1:80",
                           " 127.0.0.1:80",
                           "[::1:80",
                           "::1]:80",
                           "[]:80",
                           "[:80",
                           "]:80",
                           "[[::1]]:80",
                           "[::g]:80",
                           "/run/app.sock"}) {
    CAPTURE(text);
    CHECK_FALSE(parses(text));
  }
  CHECK_FALSE(parses(std::string(1000, '1') + ":80"));
}

TEST_CASE("an address with a NUL inside is refused") {
  CHECK_THROWS_AS(endpoint(std::string_view("127.0.0.1\0x", 11), 80), std::invalid_argument);
  CHECK_THROWS_AS(endpoint::parse(std::string_view("[::1\0x]:80", 10)), std::invalid_argument);
}

TEST_CASE("an endpoint is made of an address and a port") {
  CHECK(to_string(endpoint("10.0.0.7", 80)) == "10.0.0.7:80");
  CHECK(to_string(endpoint("::1", 80)) == "[::1]:80");
  try {
    const endpoint e("example.org", 80);
    FAIL("a name was taken for an address");
  } catch (const std::invalid_argument& e) {
    CHECK_THAT(e.what(), ContainsSubstring("\"example.org\""));
    CHECK_THAT(e.what(), ContainsSubstring("rondo::resolve"));
  }
  CHECK_THROWS_AS(endpoint("", 80), std::invalid_argument);
  CHECK_THROWS_AS(endpoint("[::1]", 80), std::invalid_argument);
  CHECK_THROWS_AS(endpoint("127.0.0.1:80", 80), std::invalid_argument);
}

TEST_CASE("an endpoint that nobody chose is any address and any port") {
  CHECK(to_string(endpoint()) == "0.0.0.0:0");
  CHECK(endpoint() == endpoint("0.0.0.0", 0));
  CHECK(to_string(endpoint::loopback(7000)) == "127.0.0.1:7000");
  CHECK(endpoint::loopback(7000) == endpoint::parse("127.0.0.1:7000"));
}

// Unix sockets

TEST_CASE("a Unix socket has a path or an abstract name, and no port") {
  const endpoint path = endpoint::unix_path("/run/app.sock");
  CHECK(path.is_unix());
  CHECK_FALSE(path.is_v4());
  CHECK(path.port() == 0);
  CHECK(path.address() == "/run/app.sock");
  CHECK(to_string(path) == "/run/app.sock");
  CHECK(path.native_size() == offsetof(sockaddr_un, sun_path) + 14);  // with its NUL
  CHECK(endpoint::unix_path(std::filesystem::path("/run/app.sock")) == path);
  const endpoint abstract = endpoint::unix_path("@app");
  CHECK(to_string(abstract) == "@app");
  CHECK(abstract.native_size() == offsetof(sockaddr_un, sun_path) + 4);  // and without
  CHECK(reinterpret_cast<const sockaddr_un*>(abstract.native())->sun_path[0] == '\0');
}

TEST_CASE("a Unix socket's path has 1 to 107 bytes") {
  CHECK_THROWS_AS(endpoint::unix_path(std::string("/run/a\0b", 8)), std::invalid_argument);
  CHECK(endpoint::unix_path(std::string(107, 'x')).address() == std::string(107, 'x'));
  for (const std::size_t size : {0U, 108U, 1000U}) {
    CHECK_THROWS_AS(endpoint::unix_path(std::string(size, 'x')), std::invalid_argument);
  }
}

// From the kernel

TEST_CASE("an endpoint is made of what the kernel gave, and gives the same back") {
  for (const endpoint& e : {endpoint::parse("192.0.2.7:8080"), endpoint::parse("[2001:db8::1]:443"),
                            endpoint::parse("[fe80::1%lo]:80"), endpoint::unix_path("/run/a"),
                            endpoint::unix_path("@a")}) {
    sockaddr_storage native{};
    std::memcpy(&native, e.native(), e.native_size());
    const endpoint same =
        endpoint::from_native(reinterpret_cast<const sockaddr*>(&native), e.native_size());
    CHECK(same == e);
    CHECK(to_string(same) == to_string(e));
    CHECK(std::hash<endpoint>()(same) == std::hash<endpoint>()(e));
  }
}

TEST_CASE("a Unix socket without a name has an empty path") {
  sockaddr_un unnamed{};
  unnamed.sun_family = AF_UNIX;
  const endpoint e =
      endpoint::from_native(reinterpret_cast<const sockaddr*>(&unnamed), sizeof(sa_family_t));
  CHECK(e.is_unix());
  CHECK(to_string(e).empty());
}

TEST_CASE("a length that is more than an address has is cut") {
  sockaddr_storage large{};
  auto& local = reinterpret_cast<sockaddr_un&>(large);
  local.sun_family = AF_UNIX;
  std::strcpy(local.sun_path, "/run/a");
  const endpoint a = endpoint::from_native(reinterpret_cast<const sockaddr*>(&large), sizeof large);
  const endpoint b = a;
  CHECK(a == b);
  CHECK(a.native_size() <= sizeof(endpoint));
  CHECK(a.address() == "/run/a");
  CHECK(std::hash<endpoint>()(a) == std::hash<endpoint>()(b));
}

TEST_CASE("other families are refused") {
  sockaddr_storage other{};
  other.ss_family = AF_NETLINK;
  try {
    static_cast<void>(
        endpoint::from_native(reinterpret_cast<const sockaddr*>(&other), sizeof other));
    FAIL("netlink is no endpoint");
  } catch (const std::invalid_argument& e) {
    CHECK_THAT(e.what(), ContainsSubstring("address family " + std::to_string(AF_NETLINK)));
  }
}

// Comparing and hashing

TEST_CASE("endpoints are equal when address and port are") {
  CHECK(endpoint::parse("127.0.0.1:80") == endpoint::parse("127.0.0.1:80"));
  CHECK(endpoint::parse("127.0.0.1:80") != endpoint::parse("127.0.0.1:81"));
  CHECK(endpoint::parse("127.0.0.1:80") != endpoint::parse("127.0.0.2:80"));
  CHECK(endpoint::parse("127.0.0.1:80") != endpoint::parse("[::ffff:127.0.0.1]:80"));
  CHECK(endpoint::unix_path("/a") == endpoint::unix_path("/a"));
  CHECK(endpoint::unix_path("/a") != endpoint::unix_path("/ab"));
  CHECK(endpoint::unix_path("@a") != endpoint::unix_path("/a"));
}

TEST_CASE("endpoints are keys of ordered and unordered containers") {
  std::vector<endpoint> all;
  for (int i = 0; i < 50; ++i) {
    const auto port = static_cast<std::uint16_t>(i * 7919 % 65536);
    all.push_back(endpoint::loopback(port));
    all.push_back(endpoint("::1", port));
    all.push_back(endpoint::unix_path("/run/" + std::to_string(i)));
  }
  const std::set<endpoint> ordered(all.begin(), all.end());
  const std::unordered_set<endpoint> hashed(all.begin(), all.end());
  CHECK(ordered.size() == all.size());
  CHECK(hashed.size() == all.size());
  for (const endpoint& e : all) {
    CHECK(ordered.count(e) == 1);
    CHECK(hashed.count(e) == 1);
  }
  CHECK(std::is_sorted(ordered.begin(), ordered.end()));
  CHECK_FALSE(ordered.count(endpoint::loopback(1)) == 1);
}

TEST_CASE("exactly one of less, equal and greater is true") {
  const endpoint all[] = {endpoint(),         endpoint::loopback(1),     endpoint::loopback(256),
                          endpoint("::1", 1), endpoint::unix_path("/a"), endpoint::unix_path("@a")};
  for (const endpoint& a : all) {
    for (const endpoint& b : all) {
      CHECK((a < b) + (a == b) + (a > b) == 1);
      CHECK((a < b) == (b > a));
      CHECK((&a == &b) == (a == b));
    }
  }
}
