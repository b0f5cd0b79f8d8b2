// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"

using namespace rondo::test;

namespace {

rondo::task<server_stats> stats_in_a_task(const python_server& server) {
  co_return co_await stats_of(server);
}

}  // namespace

PYTHON_TEST("requests one after the other use the same connection") {
  http::session session;
  for (int i = 0; i < 20; ++i) {
    const auto answer = co_await session.get(server / "json");
    if (i > 0) CHECK(answer.timings.connect == 0us);
  }
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 20);
  CHECK(stats.connections == 1);
}

PYTHON_TEST("each session has connections of its own") {
  http::session a;
  http::session b;
  for (int i = 0; i < 3; ++i) {
    static_cast<void>(co_await a.get(server / "json"));
    static_cast<void>(co_await b.get(server / "json"));
  }
  const auto stats = co_await stats_of(server);
  CHECK(stats.connections == 2);
}

PYTHON_TEST("max_connections holds, and the requests that wait are answered in the end") {
  http::session session(http::session_options().max_connections(3));
  std::vector<rondo::task<std::string>> requests;
  for (int i = 0; i < 12; ++i) requests.push_back(text_of(session, server / "slow?ms=20"));
  const stopwatch watch;
  co_await rondo::when_all(std::move(requests));
  const auto took = watch.elapsed();
  CHECK(took >= 80ms);
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 12);
  CHECK(stats.peak == 3);
  CHECK(stats.connections == 3);
}

PYTHON_TEST("max_connections_per_host holds for each host by itself") {
  http::session session(http::session_options().max_connections_per_host(2));
  const auto other = "http://localhost:" + std::to_string(server.port()) + "/slow?ms=200";
  std::vector<rondo::task<std::string>> requests;
  for (int i = 0; i < 4; ++i) {
    requests.push_back(text_of(session, server / "slow?ms=200"));
    requests.push_back(text_of(session, other));
  }
  co_await rondo::when_all(std::move(requests));
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 8);
  CHECK(stats.connections == 4);
  CHECK(stats.peak == 4);
}

PYTHON_TEST("requests that wait for a connection can be canceled, and those after them go on") {
  http::session session(http::session_options().max_connections(1));
  const auto canceled = [](http::session& s, std::string url) -> rondo::task<> {
    try {
      static_cast<void>(co_await rondo::with_timeout(50ms, s.get(std::move(url))));
      FAIL("it had no connection");
    } catch (const rondo::timeout_error&) {
    }
  };
  co_await rondo::when_all(text_of(session, server / "slow?ms=150"),
                           canceled(session, server / "echo"), text_of(session, server / "json"));
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests == std::vector<std::string>{"GET /slow?ms=150", "GET /json"});
  CHECK(stats.connections == 1);
}

PYTHON_TEST("a connection that the server closed without a word is replaced unnoticed") {
  http::session session;
  for (int i = 0; i < 20; ++i) {
    const auto answer = co_await session.get(server / "hang-up");
    CHECK(answer.json()["answer"] == 42);
  }
  const auto stats = co_await stats_of(server);
  CHECK(stats.connections == 20);
}

PYTHON_TEST("a session that goes closes its idle connections at once") {
  const auto before = rondo_test::open_descriptors();
  {
    http::session session;
    const auto unused = rondo_test::open_descriptors();
    co_await rondo::when_all(text_of(session, server / "slow?ms=20"),
                             text_of(session, server / "slow?ms=20"));
    CHECK(rondo_test::open_descriptors() == unused + 2);
  }
  CHECK(rondo_test::open_descriptors() == before);
  server_stats stats;
  do {
    stats = co_await stats_of(server);
  } while (stats.open != 0);
  CHECK(stats.connections == 2);
}

PYTHON_TEST("a session that nobody used costs a loop nothing") {
  const auto before = rondo_test::open_descriptors();
  { const http::session unused; }
  CHECK(rondo_test::open_descriptors() == before);
  co_return;
}

NGINX_TEST("HTTP/2 is spoken with servers that offer it over TLS") {
  http::session session(http::session_options().ca_file(server.ca()));
  const auto tls = co_await session.get(server.tls("protocol"));
  CHECK(tls.text() == "HTTP/2.0");
  const auto plain = co_await session.get(server / "protocol");
  CHECK(plain.text() == "HTTP/1.1");
}

NGINX_TEST("100 requests over HTTP/2 at the same time") {
  http::session session(http::session_options().ca_file(server.ca()));
  static_cast<void>(co_await session.get(server.tls("json")));
  const auto before = rondo_test::open_descriptors();
  std::vector<rondo::task<std::string>> requests;
  for (int i = 0; i < 100; ++i) requests.push_back(text_of(session, server.tls("protocol")));
  for (const auto& text : co_await rondo::when_all(std::move(requests))) CHECK(text == "HTTP/2.0");
  CHECK(rondo_test::open_descriptors() == before);  // all on the connection that was there
}

// A session may be older and younger than the loops it is used on.

TEST_CASE("a session outlives its loop, and takes its connection to the next one") {
  python_server server;
  http::session session;
  for (int i = 0; i < 5; ++i) {
    const auto text = rondo::run(text_of(session, server / "json"));
    CHECK(text == R"({"answer": 42})");
  }
  const auto stats = rondo::run(stats_in_a_task(server));
  CHECK(stats.connections == 1);
  CHECK(stats.requests.size() == 5);
}

TEST_CASE("a session outlives a loop that ended in the middle of a request") {
  python_server server;
  const auto before = rondo_test::open_descriptors();
  {
    http::session session;
    for (int i = 0; i < 3; ++i) {
      const auto giving_up = [](http::session& s, std::string url) -> rondo::task<> {
        rondo::spawn(text_of(s, std::move(url)));
        co_await rondo::sleep_for(30ms);
      };
      rondo::run(giving_up(session, server / "slow?ms=100"));
      const auto text = rondo::run(text_of(session, server / "json"));
      CHECK(text == R"({"answer": 42})");
    }
  }
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("a session is destroyed after its loop, with idle connections") {
  python_server server;
  const auto before = rondo_test::open_descriptors();
  {
    http::session session;
    const auto unused = rondo_test::open_descriptors();
    rondo::run(text_of(session, server / "json"));
    CHECK(rondo_test::open_descriptors() == unused + 1);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

TEST_CASE("a session on two loops at once is a logic_error, and one after the other is fine") {
  python_server server;
  http::session session;
  rondo::event_loop one;
  rondo::event_loop two;
  auto slow = one.spawn(text_of(session, server / "slow?ms=50"));
  one.run_once();
  one.run_once();
  CHECK_THROWS_AS(two.run(text_of(session, server / "json")), std::logic_error);
  while (!slow.done()) one.run_once(1s);
  CHECK(two.run(text_of(session, server / "json")) == R"({"answer": 42})");
  CHECK(one.run(text_of(session, server / "json")) == R"({"answer": 42})");
}
