// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/pool.hpp>

#include "postgres/servers.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

task<int> slow(postgres::pool& db, int i) {
  const auto rows = co_await db.query("select $1 from pg_sleep(0.02)", i);
  co_return rows[0].get<int>(0);
}
task<int> count_of(postgres::connection& c) {
  const auto rows = co_await c.query("select 7");
  co_return rows[0].get<int>(0);
}
task<int> process_of(postgres::pool& db) {
  const auto rows = co_await db.query("select pg_backend_pid()");
  co_return rows[0].get<int>(0);
}

}  // namespace

POSTGRES_TEST("many queries at once share a few connections") {
  const auto before = co_await descriptors_at_rest();
  {
    postgres::pool db(server.conninfo(), postgres::pool_options().max_connections(3));
    std::vector<task<int>> queries;
    for (int i = 0; i < 20; ++i) queries.push_back(slow(db, i));
    const auto answers = co_await rondo::when_all(std::move(queries));
    for (int i = 0; i < 20; ++i) CHECK(answers[static_cast<std::size_t>(i)] == i);
    CHECK(db.idle() == 3);
    CHECK(db.in_use() == 0);
    CHECK(rondo_test::open_descriptors() == before + 3);
    db.close_idle();
    CHECK(rondo_test::open_descriptors() == before);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

POSTGRES_TEST("a connection is used again, and one that is acquired is the caller's alone") {
  postgres::pool db(server.conninfo(), postgres::pool_options().max_connections(2));
  const int one = co_await process_of(db);
  const int again = co_await process_of(db);
  CHECK(one == again);
  auto mine = co_await db.acquire();
  CHECK(mine->process_id() == one);
  const int other = co_await process_of(db);
  CHECK(other != one);
  CHECK(db.in_use() == 1);
  mine.release();
  CHECK(db.in_use() == 0);
  CHECK(db.idle() == 2);
  const int seven = co_await db.transaction(count_of);
  CHECK(seven == 7);
}

POSTGRES_TEST("who waits is served in the order of asking, and may give up") {
  postgres::pool db(server.conninfo(), postgres::pool_options().max_connections(1));
  auto held = co_await db.acquire();
  const auto late = co_await rondo::try_for(10ms, db.acquire());
  CHECK_FALSE(late);
  std::string order;
  const auto ask = [](postgres::pool& p, std::string& log, char name) -> task<> {
    const auto c = co_await p.acquire();
    log += name;
  };
  auto a = rondo::spawn(ask, std::ref(db), std::ref(order), 'a');
  auto b = rondo::spawn(ask, std::ref(db), std::ref(order), 'b');
  auto c = rondo::spawn(ask, std::ref(db), std::ref(order), 'c');
  co_await rondo::sleep_for(5ms);
  b.cancel();
  held.release();
  co_await std::move(a);
  co_await std::move(c);
  CHECK(order == "ac");
  CHECK(db.in_use() == 0);
}

POSTGRES_TEST("after a restart of the server the pool goes on by itself") {
  postgres::pool db(server.conninfo(), postgres::pool_options().max_connections(3));
  std::vector<task<int>> queries;
  for (int i = 0; i < 3; ++i) queries.push_back(slow(db, i));
  co_await rondo::when_all(std::move(queries));
  CHECK(db.idle() == 3);
  {
    const postgres_server::crash gone(server);
    const auto e = co_await error_of(db.query("select 1"));
    CHECK(e.kind() == postgres::error_kind::connect_failed);
    CHECK(db.idle() == 0);
    CHECK(db.in_use() == 0);
  }
  const auto rows = co_await db.query("select 1");
  CHECK(rows.size() == 1);
  server.tell("stop");  // in order: there is a last word to read
  server.tell("start");
  const auto again = co_await db.query("select 1");
  CHECK(again.size() == 1);
}

POSTGRES_TEST("a query that is under way when the server dies fails, and the next one is fine") {
  postgres::pool db(server.conninfo());
  const int process = co_await process_of(db);
  auto sleeping = rondo::spawn(db.query("select pg_sleep(1000)"));
  {
    auto watcher = co_await postgres::connect(server.conninfo());
    co_await until_activity(watcher, process, "active: select pg_sleep");
  }
  { const postgres_server::crash gone(server); }
  const auto e = co_await error_of(std::move(sleeping));
  CHECK(e.kind() == postgres::error_kind::connection_lost);
  const auto rows = co_await db.query("select 1");
  CHECK(rows.size() == 1);
}

POSTGRES_TEST("a connection that comes back in the middle of something is closed") {
  postgres::pool db(server.conninfo());
  {
    auto c = co_await db.acquire();
    co_await c->query("begin");
  }
  CHECK(db.idle() == 0);
  {
    auto c = co_await db.acquire();
    auto p = co_await c->pipeline();
    p.query("select pg_sleep(1000)");
  }
  CHECK(db.idle() == 0);
  co_await process_of(db);
  const auto code = co_await code_of(rondo::with_timeout(20ms, db.query("select pg_sleep(1000)")));
  CHECK(code == std::errc::timed_out);
  CHECK(db.idle() == 1);  // it was brought to rest
}

POSTGRES_TEST("what was not used for long is asked first, or closed") {
  int opened = 0;
  const auto count = [&opened](postgres::connection& c) -> task<> {
    ++opened;
    co_await c.query("set application_name = 'pooled'");
  };
  postgres::pool db(server.conninfo(), postgres::pool_options().check_after(0ns).on_connect(count));
  for (int i = 0; i < 3; ++i) {
    const auto rows = co_await db.query("show application_name");
    CHECK(rows[0].get<std::string>(0) == "pooled");
  }
  CHECK(opened == 1);
  postgres::pool young(server.conninfo(),
                       postgres::pool_options().max_idle_time(0ns).on_connect(count));
  for (int i = 0; i < 3; ++i) static_cast<void>(co_await young.query("select 1"));
  CHECK(opened == 4);
}

POSTGRES_TEST("a connection that does not answer the question is replaced") {
  const auto descriptors = co_await descriptors_at_rest();
  {
    postgres::pool db(server.conninfo(), postgres::pool_options().check_after(0ns));
    const int before = co_await process_of(db);
    const auto thaw = [](postgres_server& s) -> task<> {
      const postgres_server::freeze frozen(s);
      co_await rondo::sleep_for(2500ms);
    };
    const auto both = co_await rondo::when_all(thaw(server), process_of(db));
    CHECK(std::get<1>(both) != before);
  }
  // The server has taken the request to stop, too.
  co_await until([&] { return rondo_test::open_descriptors() == descriptors; });
}

POSTGRES_TEST("every moment of a cancellation leaves the pool complete") {
  const auto before = co_await descriptors_at_rest();
  {
    postgres::pool db(server.conninfo(), postgres::pool_options().max_connections(2));
    for (int i = 0; i < 60; ++i) {
      auto a = rondo::spawn(slow(db, 1));
      auto b = rondo::spawn(slow(db, 2));
      auto c = rondo::spawn(db.acquire());
      co_await rondo::sleep_for(std::chrono::microseconds(i * 300));
      a.cancel();
      c.cancel();
      static_cast<void>(co_await code_of(std::move(a)));
      static_cast<void>(co_await code_of(std::move(c)));
      const int two = co_await std::move(b);
      CHECK(two == 2);
      CHECK(db.in_use() == 0);
    }
  }
  CHECK(rondo_test::open_descriptors() == before);
}

POSTGRES_TEST("a connection may outlive its pool, and its server may be one that is not there") {
  const auto before = co_await descriptors_at_rest();
  postgres::pooled_connection c;
  {
    postgres::pool db(server.conninfo());
    c = co_await db.acquire();
  }
  const auto rows = co_await c->query("select 1");
  CHECK(rows.size() == 1);
  c.release();
  CHECK(rondo_test::open_descriptors() == before);
  postgres::pool nowhere("host=127.0.0.1 port=1 user=me",
                         postgres::pool_options().max_connections(1));
  for (int i = 0; i < 3; ++i) {
    const auto e = co_await error_of(nowhere.query("select 1"));
    CHECK(e.kind() == postgres::error_kind::connect_failed);
  }
  CHECK_THROWS_AS(postgres::pool("", postgres::pool_options().max_connections(0)),
                  std::invalid_argument);
}
