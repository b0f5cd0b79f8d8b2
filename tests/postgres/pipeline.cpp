// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/pipeline.hpp>

#include "postgres/servers.hpp"
#include "support/heap.hpp"

using namespace rondo::test;
using rondo::task;

POSTGRES_TEST("a pipeline gives the answers in the order of the statements") {
  auto c = co_await postgres::connect(server.conninfo());
  auto p = co_await c.pipeline();
  const int many = 5000;
  for (int i = 0; i < many; ++i) p.query("select $1", i);
  CHECK(p.size() == many);
  for (int i = 0; i < many; ++i) {
    const auto rows = co_await p.next();
    REQUIRE(rows);
    if ((*rows)[0].get<int>(0) != i) FAIL("out of order");
  }
  const auto end = co_await p.next();
  CHECK_FALSE(end);
  p.query("select 'again'");
  const auto all = co_await p.finish();
  REQUIRE(all.size() == 1);
  CHECK(all[0][0].get<std::string>(0) == "again");
}

POSTGRES_TEST("a pipeline of statements larger than all buffers does not deadlock") {
  auto c = co_await postgres::connect(server.conninfo());
  auto p = co_await c.pipeline();
  const std::string big(100'000, 'x');
  for (int i = 0; i < 200; ++i) p.query("select $1::text", big);
  const auto all = co_await p.finish();
  CHECK(all.size() == 200);
  CHECK(all[199][0].get<std::string_view>(0) == big);
}

POSTGRES_TEST("prepared statements in a pipeline, and the connection is usable after it") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto twice = co_await c.prepare("select $1::int * 2");
  {
    auto p = co_await c.pipeline();
    for (int i = 0; i < 10; ++i) p.query(twice, i);
    const auto all = co_await p.finish();
    CHECK(all[9][0].get<int>(0) == 18);
  }
  CHECK(c.is_idle());
  const auto rows = co_await c.query("select 1");
  CHECK(rows.size() == 1);
}

POSTGRES_TEST("a pipeline in which nothing is sent, and one that is used by two tasks") {
  auto c = co_await postgres::connect(server.conninfo());
  {
    auto p = co_await c.pipeline();
    const auto none = co_await p.next();
    CHECK_FALSE(none);
    const auto busy = co_await rondo::as_result(c.query("select 1"));
    CHECK_THROWS_AS(busy.value(), std::logic_error);
  }
  const auto rows = co_await c.query("select 1");
  CHECK(rows.size() == 1);
}

POSTGRES_TEST("an error undoes and skips what is between two synchronisation points, and no more") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (x int)");
  {
    auto p = co_await c.pipeline();
    p.query("insert into t values (1)");
    p.sync();
    p.query("insert into t values (2)");
    p.query("insert into t values ($1)", "three");
    p.query("insert into t values (4)");
    p.sync();
    p.query("insert into t values (5)");
    std::string story;
    for (bool more = true; more;) {
      try {
        const auto rows = co_await p.next();
        more = rows.has_value();
        story += more ? "ok " : "end";
      } catch (const postgres::error& e) {
        story += e.kind() == postgres::error_kind::skipped ? "skipped " : e.sqlstate() + " ";
      }
    }
    CHECK(story == "ok ok 22P02 skipped ok end");
  }
  const auto rows = co_await c.query("select array_agg(x order by x) from t");
  CHECK(rows[0].get<std::vector<int>>(0) == std::vector{1, 5});
}

POSTGRES_TEST("finish throws the first error, when all the answers are there") {
  auto c = co_await postgres::connect(server.conninfo());
  auto p = co_await c.pipeline();
  p.query("select 1");
  p.query("select 1/0");
  p.query("select 2");
  const auto e = co_await error_of(p.finish());
  CHECK(e.sqlstate() == "22012");
  CHECK(e.statement() == "select 1/0");
  CHECK(p.size() == 0);
  p.query("select 3");
  const auto all = co_await p.finish();
  CHECK(all.size() == 1);
}

POSTGRES_TEST("a canceled next loses nothing") {
  auto c = co_await postgres::connect(server.conninfo());
  auto p = co_await c.pipeline();
  p.query("select 'first' from pg_sleep(0.1)");
  p.query("select 'second'");
  for (int i = 0; i < 5; ++i) {
    const auto late = co_await rondo::try_for(5ms, p.next());
    CHECK_FALSE(late);
  }
  const auto first = co_await p.next();
  const auto second = co_await p.next();
  CHECK((*first)[0].get<std::string>(0) == "first");
  CHECK((*second)[0].get<std::string>(0) == "second");
}

POSTGRES_TEST(
    "a pipeline that is dropped in the middle is stopped on the server, and the connection goes "
    "on") {
  auto watcher = co_await postgres::connect(server.conninfo());
  auto c = co_await postgres::connect(server.conninfo());
  const int process = c.process_id();
  const auto give_up = [](postgres::connection& on) -> task<> {
    auto p = co_await on.pipeline();
    p.query("select 1");
    p.sync();
    p.query("select pg_sleep(1000)");
    p.query("select 2");
    static_cast<void>(co_await p.next());
    static_cast<void>(co_await rondo::try_for(20ms, p.next()));
    p.query("select 3");  // not sent
  };
  const stopwatch since;
  co_await give_up(c);
  co_await until_activity(watcher, process, "idle");  // without anybody using c
  const auto rows = co_await c.query("select 4");
  CHECK(rows[0].get<int>(0) == 4);
  CHECK(since.elapsed() < at_most(3s));
}

POSTGRES_TEST("close stops a pipeline and waits for it") {
  auto c = co_await postgres::connect(server.conninfo());
  auto p = co_await c.pipeline();
  p.query("select pg_sleep(1000)");
  p.sync();
  p.query("select 1");
  co_await p.close();
  CHECK(c.is_idle());
  co_await p.close();
}

POSTGRES_TEST("a request to stop that comes before the server has begun is made again") {
  auto c = co_await postgres::connect(server.conninfo());
  for (int i = 0; i < 50; ++i) {
    auto p = co_await c.pipeline();
    p.query("select pg_sleep(1000)");
    p.sync();
    co_await p.close();
    REQUIRE(c.is_idle());  // not given up
  }
}

POSTGRES_TEST(
    "a server that dies in the middle of a pipeline: every answer that is missing says so") {
  const auto before = co_await descriptors_at_rest();
  {
    auto c = co_await postgres::connect(server.conninfo());
    auto p = co_await c.pipeline();
    p.query("select 1");
    p.sync();
    p.query("select pg_sleep(1000)");
    p.query("select 2");
    static_cast<void>(co_await p.next());
    const postgres_server::crash gone(server);
    for (int i = 0; i < 2; ++i) {
      const auto e = co_await error_of(p.next());
      CHECK(e.kind() == postgres::error_kind::connection_lost);
    }
    const auto end = co_await p.next();
    CHECK_FALSE(end);
    CHECK_THROWS_AS(p.query("select 3"), postgres::error);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

POSTGRES_TEST("COPY in a pipeline is a logic_error, and costs the connection") {
  auto c = co_await postgres::connect(server.conninfo());
  auto p = co_await c.pipeline();
  p.query("copy (select 1) to stdout");
  bool refused = false;
  try {
    static_cast<void>(co_await p.next());
  } catch (const std::logic_error&) {
    refused = true;
  } catch (const postgres::error&) {
    refused = true;
  }
  CHECK(refused);
}

POSTGRES_TEST("a statement for which there was no memory is not in the pipeline") {
  auto c = co_await postgres::connect(server.conninfo());
  auto p = co_await c.pipeline();
  for (std::size_t n = 1; p.size() == 0; ++n) {
    bool refused = false;
    rondo::testing::fail_allocation(n);
    try {  // so many arguments that sending them allocates
      p.query("select $17 + 1", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17);
    } catch (const std::bad_alloc&) {
      refused = true;
    }
    rondo::testing::fail_allocation(0);
    REQUIRE(p.size() == (refused ? 0 : 1));
  }
  const auto all = co_await p.finish();
  REQUIRE(all.size() == 1);
  CHECK(all[0][0].get<int>(0) == 18);
}

POSTGRES_TEST("in a canceled task no pipeline is begun, and nothing is taken from one") {
  auto c = co_await postgres::connect(server.conninfo());
  auto beginning = rondo::spawn(c.pipeline());
  beginning.cancel();
  const auto code = co_await code_of(std::move(beginning));
  CHECK(code == rondo::errc::canceled);
  CHECK(c.is_idle());
  auto p = co_await c.pipeline();
  p.query("select 1");
  p.sync();
  co_await rondo::sleep_for(20ms);
  auto taking = rondo::spawn(p.next());
  taking.cancel();
  const auto nothing = co_await code_of(std::move(taking));
  CHECK(nothing == rondo::errc::canceled);
  CHECK(p.size() == 1);
}
