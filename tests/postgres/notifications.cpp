// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/notifications.hpp>

#include "postgres/servers.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

task<> notify(postgres::connection& c, std::string payload) {
  co_await c.query("select pg_notify('jobs', $1)", payload);
}

/// As somebody does who is canceled in the middle of one.
task<> leave_a_pipeline(postgres::connection& c) {
  auto p = co_await c.pipeline();
  p.query("select pg_sleep(1000)");
  p.sync();
}

}  // namespace

POSTGRES_TEST("what another client says with NOTIFY arrives, in order") {
  auto a = co_await postgres::connect(server.conninfo());
  auto b = co_await postgres::connect(server.conninfo());
  co_await a.query("listen jobs");
  auto news = a.notifications();
  auto first = rondo::spawn(news.next());
  co_await rondo::sleep_for(10ms);
  CHECK_FALSE(first.done());
  co_await notify(b, "one");
  const auto one = co_await std::move(first);
  REQUIRE(one);
  CHECK(one->channel == "jobs");
  CHECK(one->payload == "one");
  CHECK(one->process_id == b.process_id());
  for (int i = 0; i < 10; ++i) co_await notify(b, std::to_string(i));
  for (int i = 0; i < 10; ++i) {
    const auto n = co_await news.next();
    CHECK(n->payload == std::to_string(i));
  }
}

POSTGRES_TEST("notifications that arrive with the answers to queries are kept") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("listen jobs");
  for (int i = 0; i < 3; ++i) co_await notify(c, std::to_string(i));  // of its own
  auto news = c.notifications();
  for (int i = 0; i < 3; ++i) {
    const auto n = co_await news.next();
    CHECK(n->payload == std::to_string(i));
  }
}

POSTGRES_TEST("while one task waits for notifications, others use the connection") {
  auto a = co_await postgres::connect(server.conninfo());
  auto b = co_await postgres::connect(server.conninfo());
  co_await a.query("listen jobs");
  const auto listen = [](postgres::connection& c) -> task<int> {
    auto news = c.notifications();
    int sum = 0;
    for (int i = 0; i < 100; ++i) {
      const auto n = co_await news.next();
      sum += std::stoi(n->payload);
    }
    co_return sum;
  };
  const auto ask = [](postgres::connection& c) -> task<> {
    for (int i = 0; i < 100; ++i) {
      const auto rows = co_await c.query("select $1", i);
      CHECK(rows[0].get<int>(0) == i);
    }
  };
  const auto tell = [](postgres::connection& c) -> task<> {
    for (int i = 0; i < 100; ++i) co_await notify(c, std::to_string(i));
  };
  const auto all = co_await rondo::when_all(listen(a), ask(a), tell(b));
  CHECK(std::get<0>(all) == 4950);
}

POSTGRES_TEST("a canceled next loses nothing, and the connection may then be used") {
  auto a = co_await postgres::connect(server.conninfo());
  auto b = co_await postgres::connect(server.conninfo());
  co_await a.query("listen jobs");
  auto news = a.notifications();
  std::vector<std::string> got;
  auto telling = rondo::spawn(
      [](postgres::connection& c) -> task<> {
        for (int i = 0; i < 20; ++i) {
          co_await notify(c, std::to_string(i));
          co_await rondo::sleep_for(3ms);
        }
      },
      std::ref(b));
  while (got.size() < 20) {
    auto n = co_await rondo::try_for(2ms, news.next());
    if (n) got.push_back((*n)->payload);
  }
  co_await std::move(telling);
  for (int i = 0; i < 20; ++i) CHECK(got[static_cast<std::size_t>(i)] == std::to_string(i));
  const auto rows = co_await a.query("select 1");
  CHECK(rows.size() == 1);
}

POSTGRES_TEST("while a listener brings to rest what was left, others wait, and are not refused") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("listen jobs");
  auto news = c.notifications();
  {
    const postgres_server::freeze frozen(server);
    co_await leave_a_pipeline(c);
    auto listening = rondo::spawn(news.next());
    co_await rondo::yield();
    auto asking = rondo::spawn(c.query("select 1"));
    co_await rondo::sleep_for(10ms);
    CHECK_FALSE(asking.done());
    listening.cancel();  // who waits goes on in its place
    const auto code = co_await code_of(std::move(listening));
    CHECK(code == rondo::errc::canceled);
    server.tell("thaw");
    const auto rows = co_await std::move(asking);
    CHECK(rows[0].get<int>(0) == 1);
  }
  co_await leave_a_pipeline(c);
  auto listening = rondo::spawn(news.next());
  co_await rondo::yield();
  co_await notify(c, "still here");
  const auto n = co_await std::move(listening);
  CHECK(n->payload == "still here");
}

POSTGRES_TEST("a listener that gives up a frozen server's connection: whoever waits hears of it") {
  const auto before = co_await descriptors_at_rest();
  {
    auto c = co_await postgres::connect(server.conninfo());
    c.cancel_timeout(100ms);
    auto news = c.notifications();
    const postgres_server::freeze frozen(server);
    co_await leave_a_pipeline(c);
    auto listening = rondo::spawn(news.next());
    co_await rondo::yield();
    const auto asking = co_await error_of(c.query("select 1"));
    CHECK(asking.kind() == postgres::error_kind::connection_lost);
    const auto e = co_await error_of(std::move(listening));
    CHECK(e.kind() == postgres::error_kind::connection_lost);
  }
  // The server has taken the request to stop, too.
  co_await until([&] { return rondo_test::open_descriptors() == before; });
}

POSTGRES_TEST("a server that dies, and a close, end the wait with connection_lost") {
  const auto before = co_await descriptors_at_rest();
  {
    auto c = co_await postgres::connect(server.conninfo());
    auto news = c.notifications();
    auto waiting = rondo::spawn(news.next());
    co_await rondo::sleep_for(10ms);
    const postgres_server::crash gone(server);
    const auto e = co_await error_of(std::move(waiting));
    CHECK(e.kind() == postgres::error_kind::connection_lost);
  }
  {
    auto c = co_await postgres::connect(server.conninfo());
    auto news = c.notifications();
    auto waiting = rondo::spawn(news.next());
    co_await rondo::sleep_for(10ms);
    co_await c.close();
    const auto e = co_await error_of(std::move(waiting));
    CHECK(e.kind() == postgres::error_kind::connection_lost);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

POSTGRES_TEST("a stream of notifications that is closed ends the next that waits, on its turn or not") {
  auto a = co_await postgres::connect(server.conninfo());
  auto b = co_await postgres::connect(server.conninfo());
  co_await a.query("listen jobs");
  const auto is_ended_by_close = [](postgres::connection& c) -> task<> {
    auto closed = c.notifications();
    auto ends = rondo::spawn(closed.next());
    co_await rondo::sleep_for(10ms);
    co_await closed.close();
    const auto none = co_await ends;
    CHECK(!none);
  };
  auto other = a.notifications();
  auto stays = rondo::spawn(other.next());
  co_await is_ended_by_close(a);
  CHECK(!stays.done());
  co_await notify(b, "for the other");
  const auto n = co_await stays;
  REQUIRE(n);
  CHECK(n->payload == "for the other");

  auto busy = rondo::spawn(a.query("select pg_sleep(0.1)"));  // it reads, and next waits for it
  co_await is_ended_by_close(a);
  CHECK(!busy.done());
  co_await busy;
}

POSTGRES_TEST("a stream of notifications that is closed leaves what comes to the next one") {
  auto a = co_await postgres::connect(server.conninfo());
  auto b = co_await postgres::connect(server.conninfo());
  co_await a.query("listen jobs");
  auto first = a.notifications();
  co_await first.close();
  co_await notify(b, "kept");
  const auto none = co_await first.next();
  CHECK(!none);
  auto second = a.notifications();
  const auto n = co_await second.next();
  REQUIRE(n);
  CHECK(n->payload == "kept");
}
