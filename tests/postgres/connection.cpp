// SPDX-License-Identifier: BSL-1.0

#include <poll.h>

#include <rondo/postgres/connection.hpp>

#include <memory>

#include "postgres/servers.hpp"
#include "support/heap.hpp"

using namespace rondo::test;
using rondo::task;

// Queries.

POSTGRES_TEST("a query with arguments gives rows, whose values are found by name and by place") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows = co_await c.query("select $1 + 1 as next, $2::text as name", 41, "x");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].get<int>("next") == 42);
  CHECK(rows[0].get<std::string>(1) == "x");
}

POSTGRES_TEST("a connection over a socket of the file system") {
  auto c = co_await postgres::connect(server.local());
  const auto rows = co_await c.query("select 1");
  CHECK(rows[0].get<int>(0) == 1);
}

POSTGRES_TEST(
    "a query without arguments may be several statements, and the last one's rows count") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows = co_await c.query(
      "create temp table t (x int); insert into t values (7); "
      "select x from t");
  CHECK(rows[0].get<int>("x") == 7);
}

POSTGRES_TEST("an empty query gives no rows") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows = co_await c.query("");
  CHECK(rows.empty());
  CHECK(rows.columns() == 0);
}

POSTGRES_TEST("a statement that changes rows tells how many") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (x int)");
  const auto inserted = co_await c.query("insert into t select generate_series(1, $1)", 10);
  CHECK(inserted.affected() == 10);
  CHECK(inserted.command() == "INSERT 0 10");
  CHECK(inserted.empty());
}

POSTGRES_TEST("an answer of many megabytes arrives whole") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows =
      co_await c.query("select repeat('x', 1000) as x from generate_series(1, 20000)");
  REQUIRE(rows.size() == 20'000);
  CHECK(rows[19'999].get<std::string_view>("x").size() == 1000);
}

POSTGRES_TEST("an argument of many megabytes arrives whole") {
  auto c = co_await postgres::connect(server.conninfo());
  const std::string big(20'000'000, 'x');
  const auto rows =
      co_await c.query("select length($1), md5($1) = md5(repeat('x', 20000000))", big);
  CHECK(rows[0].get<int>(0) == 20'000'000);
  CHECK(rows[0].get<bool>(1));
}

POSTGRES_TEST(
    "arguments and statement are copied: what they came from may be gone before the await") {
  auto c = co_await postgres::connect(server.conninfo());
  auto later = c.query(std::string("select $1::text as a, ") + "$2::text as b",
                       std::string("a string that is too long for its own object"),
                       std::string_view(std::string(100, 'y')));
  const auto rows = co_await std::move(later);
  CHECK(rows[0].get<std::string>("a") == "a string that is too long for its own object");
  CHECK(rows[0].get<std::string>("b") == std::string(100, 'y'));
}

POSTGRES_TEST("a query that was created and dropped sends nothing") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (x int)");
  { const auto dropped = c.query("insert into t values (1)"); }
  const auto rows = co_await c.query("select count(*) from t");
  CHECK(rows[0].get<int>(0) == 0);
}

POSTGRES_TEST(
    "a second query while the first one is under way is a logic_error, and the first goes on") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto both =
      co_await rondo::when_all_settled(c.query("select pg_sleep(0.05)"), c.query("select 1"));
  CHECK(std::get<0>(both).has_value());
  REQUIRE_FALSE(std::get<1>(both).has_value());
  CHECK_THROWS_AS(std::get<1>(both).value(), std::logic_error);
  const auto rows = co_await c.query("select 2");
  CHECK(rows[0].get<int>(0) == 2);
}

// Errors.

POSTGRES_TEST("what the server refuses is an error with its SQLSTATE and the statement") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (x int primary key)");
  co_await c.query("insert into t values ($1)", 1);
  const auto e = co_await error_of(c.query("insert into t values ($1)", 1));
  CHECK(e.kind() == postgres::error_kind::statement_failed);
  CHECK(e.sqlstate() == postgres::sqlstate::unique_violation);
  CHECK(e.statement() == "insert into t values ($1)");
  CHECK(e.constraint() == "t_pkey");
  CHECK(std::string(e.what()) ==
        "duplicate key value violates unique constraint \"t_pkey\" (23505): "
        "Key (x)=(1) already exists. [insert into t values ($1)]");
  const auto rows = co_await c.query("select 1");  // the connection is as good as before
  CHECK(rows.size() == 1);
}

POSTGRES_TEST("an error in the middle of several statements is the one that is thrown") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto e = co_await error_of(c.query("select 1; select 1/0; select 2"));
  CHECK(e.sqlstate() == "22012");
}

POSTGRES_TEST(
    "text with a zero byte is refused before it is sent, since it would be cut off there") {
  auto c = co_await postgres::connect(server.conninfo());
  CHECK_THROWS_AS(c.query("select $1::text", std::string("a\0b", 3)), std::invalid_argument);
  CHECK_THROWS_AS(c.query(std::string("select 1\0 + 1", 13)), std::invalid_argument);
  co_return;
}

POSTGRES_TEST("COPY in a query is a logic_error that says what to use, and does no harm") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (x int)");
  for (const char* const sql :
       {"copy t from stdin", "copy (select generate_series(1, 100000)) to stdout"}) {
    std::string said;
    try {
      co_await c.query(sql);
    } catch (const std::logic_error& e) {
      said = e.what();
    }
    CHECK(said.find("copy_in and copy_out") != said.npos);
    const auto rows = co_await c.query("select 1");
    CHECK(rows.size() == 1);
  }
}

POSTGRES_TEST("notices are given to the function that asks for them, and are printed nowhere") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("do $$ begin raise notice 'nobody listens'; end $$");
  std::vector<std::string> notices;
  c.on_notice([&](std::string_view text) { notices.emplace_back(text); });
  co_await c.query("do $$ begin raise notice 'hear, hear'; end $$");
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].find("hear, hear") != std::string::npos);
}

// Prepared statements.

POSTGRES_TEST("a prepared statement is executed again and again, with other arguments") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto twice = co_await c.prepare("select $1::int * 2");
  for (int i = 0; i < 10; ++i) {
    const auto rows = co_await c.query(twice, i);
    CHECK(rows[0].get<int>(0) == 2 * i);
  }
  CHECK(twice.sql() == "select $1::int * 2");
}

POSTGRES_TEST("a statement that was prepared on one connection is unknown to another") {
  auto a = co_await postgres::connect(server.conninfo());
  auto b = co_await postgres::connect(server.conninfo());
  const auto of_a = co_await a.prepare("select 'a'");
  static_cast<void>(co_await b.prepare("select 'b'"));
  const auto e = co_await error_of(b.query(of_a));
  CHECK(e.sqlstate() == "26000");  // invalid_sql_statement_name
}

POSTGRES_TEST("an error in a statement to be prepared, and in one that is executed") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto wrong = co_await error_of(c.prepare("selekt 1"));
  CHECK(wrong.sqlstate() == postgres::sqlstate::syntax_error);
  const auto divide = co_await c.prepare("select 1 / $1::int");
  const auto e = co_await error_of(c.query(divide, 0));
  CHECK(e.sqlstate() == "22012");
  CHECK(e.statement() == "select 1 / $1::int");
  CHECK_THROWS_AS(c.query(postgres::statement()), std::logic_error);
}

// Canceled.

POSTGRES_TEST("a canceled query is stopped on the server, and the connection can be used again") {
  auto watcher = co_await postgres::connect(server.conninfo());
  auto c = co_await postgres::connect(server.conninfo());
  const int process = c.process_id();
  auto sleeping = rondo::spawn(c.query("select pg_sleep(1000)"));
  co_await until_activity(watcher, process, "active: select pg_sleep(1000)");
  const stopwatch since;
  sleeping.cancel();
  const auto code = co_await code_of(sleeping.wait());
  CHECK_FALSE(code);
  CHECK(since.elapsed() < at_most(1s));
  const std::string now = co_await activity_of(watcher, process);
  CHECK(now == "idle: select pg_sleep(1000)");
  CHECK(c.is_idle());
  CHECK(c.process_id() == process);
  for (int i = 0; i < 100; ++i) {
    const auto rows = co_await c.query("select $1", i);  // the request hits none of them
    CHECK(rows[0].get<int>(0) == i);
  }
}

POSTGRES_TEST("a limit around a query throws timeout_error, and the connection can be used again") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto code = co_await code_of(rondo::with_timeout(20ms, c.query("select pg_sleep(1000)")));
  CHECK(code == std::errc::timed_out);
  const auto rows = co_await c.query("select 1");
  CHECK(rows.size() == 1);
}

POSTGRES_TEST("in a canceled task no query is sent") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (x int)");
  auto canceled = rondo::spawn(c.query("insert into t values (1)"));
  canceled.cancel();
  const auto code = co_await code_of(std::move(canceled));
  CHECK(code == rondo::errc::canceled);
  const auto rows = co_await c.query("select count(*) from t");
  CHECK(rows[0].get<int>(0) == 0);
}

POSTGRES_TEST("canceled at every moment of a query, it ends with all or nothing, never with half") {
  auto watcher = co_await postgres::connect(server.conninfo());
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (x int)");
  const int all = 100;
  int done = 0;
  for (int i = 0; i < all; ++i) {
    // The first is stopped, and the last is not, whatever the machine; in between it is a race.
    const double seconds = i == 0 ? 1000 : 0.01;
    auto insert = rondo::spawn(c.query("insert into t select 1 from pg_sleep($1)", seconds));
    if (i == 0) {
      co_await until_activity(watcher, c.process_id(), "active: insert");
    } else if (i == all - 1) {
      co_await insert.wait();
    } else {
      for (int turns = 0; turns < i % 10; ++turns) co_await rondo::io::nop();
      co_await rondo::sleep_for(std::chrono::microseconds(200 * i));
    }
    insert.cancel();
    const auto code = co_await code_of(std::move(insert));
    if (!code) ++done;
    CHECK((!code || code == rondo::errc::canceled));
  }
  const auto rows = co_await c.query("select count(*) from t");
  CHECK(rows[0].get<int>(0) == done);
  CHECK(done > 0);
  CHECK(done < all);
}

POSTGRES_TEST("a query that wins against its cancellation delivers its rows") {
  auto c = co_await postgres::connect(server.conninfo());
  // The server ignores the request: it has no chance to look at it in so short a time.
  auto quick = rondo::spawn(c.query("select 42"));
  co_await rondo::io::nop();
  pollfd answer{PQsocket(c.native_handle()), POLLIN, 0};
  REQUIRE(::poll(&answer, 1, -1) == 1);  // it is there, and nobody has read it
  quick.cancel();
  const auto rows = co_await std::move(quick);
  CHECK(rows[0].get<int>(0) == 42);
}

POSTGRES_TEST("a query that is canceled when its result is there, but not its end, delivers that") {
  late_line line(server);
  auto c = co_await postgres::connect(line.conninfo());
  line.be_late(200ms);
  auto done = rondo::spawn(c.query("select 42"));
  co_await line.until_held();
  done.cancel();
  const auto rows = co_await std::move(done);
  CHECK(rows[0].get<int>(0) == 42);
  CHECK(c.is_idle());
  co_await c.close();
  co_await line.close();
}

POSTGRES_TEST(
    "a canceled query that a frozen server does not stop costs the connection, within the limit") {
  auto c = co_await postgres::connect(server.conninfo());
  c.cancel_timeout(100ms);
  auto sleeping = rondo::spawn(c.query("select pg_sleep(1000)"));
  co_await until_busy(server, c.process_id());
  const postgres_server::freeze frozen(server);
  const stopwatch since;
  sleeping.cancel();
  const auto code = co_await code_of(std::move(sleeping));
  CHECK(code == rondo::errc::canceled);
  CHECK(since.elapsed() >= 100ms);
  CHECK(since.elapsed() < at_most(2s));
  CHECK_FALSE(c.is_open());
  const auto e = co_await error_of(c.query("select 1"));
  CHECK(e.kind() == postgres::error_kind::connection_lost);
}

POSTGRES_TEST("racing queries on two connections: the loser is stopped") {
  auto a = co_await postgres::connect(server.conninfo());
  auto b = co_await postgres::connect(server.conninfo());
  const auto first = co_await rondo::when_any(a.query("select 'a' from pg_sleep(1000)"),
                                              b.query("select 'b' from pg_sleep(0.01)"));
  CHECK(first.index() == 1);
  CHECK(a.is_idle());
  CHECK(b.is_idle());
}

// The server dies.

POSTGRES_TEST("a server that dies in the middle of a query: connection_lost, from then on") {
  const auto before = co_await descriptors_at_rest();
  {
    auto c = co_await postgres::connect(server.conninfo());
    auto sleeping = rondo::spawn(c.query("select pg_sleep(1000)"));
    co_await until_busy(server, c.process_id());
    const postgres_server::crash gone(server);
    const auto e = co_await error_of(std::move(sleeping));
    CHECK(e.kind() == postgres::error_kind::connection_lost);
    CHECK(e.sqlstate().starts_with("08"));
    CHECK(e.statement() == "select pg_sleep(1000)");
    CHECK_FALSE(c.is_open());
    const auto again = co_await error_of(c.query("select 1"));
    CHECK(again.kind() == postgres::error_kind::connection_lost);
  }
  CHECK(rondo_test::open_descriptors() == before);
}

POSTGRES_TEST("a server that stops in order says so") {
  auto c = co_await postgres::connect(server.conninfo());
  auto sleeping = rondo::spawn(c.query("select pg_sleep(1000)"));
  co_await until_busy(server, c.process_id());
  server.tell("stop");
  const auto e = co_await error_of(std::move(sleeping));
  server.tell("start");
  CHECK(e.kind() == postgres::error_kind::connection_lost);
  CHECK(e.sqlstate() == "57P01");
}

POSTGRES_TEST("a server that dies while nothing is under way is noticed with the next query") {
  auto c = co_await postgres::connect(server.conninfo());
  { const postgres_server::crash gone(server); }
  const auto e = co_await error_of(c.query("select 1"));
  CHECK(e.kind() == postgres::error_kind::connection_lost);
}

POSTGRES_TEST("a server that dies while a large argument is being sent") {
  auto c = co_await postgres::connect(server.conninfo());
  const std::string big(30'000'000, 'x');
  // It is killed while it is frozen, so it has read nothing.
  const postgres_server::freeze frozen(server);
  auto sending = rondo::spawn(c.query("select length($1)", big));
  co_await rondo::sleep_for(20ms);
  CHECK_FALSE(sending.done());
  const postgres_server::crash gone(server);
  const auto code = co_await code_of(std::move(sending));
  CHECK(code == postgres::error_kind::connection_lost);
}

// Closing.

POSTGRES_TEST(
    "close ends a query that is under way with connection_lost, and closes the descriptor") {
  const auto before = co_await descriptors_at_rest();
  auto c = co_await postgres::connect(server.conninfo());
  auto sleeping = rondo::spawn(c.query("select pg_sleep(1000)"));
  co_await until_busy(server, c.process_id());
  co_await c.close();
  const auto e = co_await error_of(std::move(sleeping));
  CHECK(e.kind() == postgres::error_kind::connection_lost);
  CHECK(rondo_test::open_descriptors() == before);
  CHECK_FALSE(c.is_open());
  co_await c.close();  // again does nothing
  const auto after = co_await error_of(c.query("select 1"));
  CHECK(std::string(after.what()).find("closed") != std::string::npos);
}

POSTGRES_TEST("close does not wait for a stream that nobody reads") {
  auto c = co_await postgres::connect(server.conninfo());
  auto p = co_await c.pipeline();
  p.query("select pg_sleep(1000)");
  p.sync();
  co_await c.close();
  const auto e = co_await error_of(p.next());
  CHECK(e.kind() == postgres::error_kind::connection_lost);
  const auto end = co_await p.next();
  CHECK_FALSE(end);
  CHECK_THROWS_AS(p.query("select 1"), postgres::error);
}

POSTGRES_TEST("a connection that is closed or dropped says goodbye: the server's process ends") {
  auto watcher = co_await postgres::connect(server.conninfo());
  auto closed = co_await postgres::connect(server.conninfo());
  const int first = closed.process_id();
  co_await closed.close();
  int second = 0;
  {
    auto dropped = co_await postgres::connect(server.conninfo());
    second = dropped.process_id();
  }
  co_await until_activity(watcher, first, "gone");
  co_await until_activity(watcher, second, "gone");
}

TEST_CASE("a connection outlives its loop, and is used on the next one") {
  if (!postgres_server::is_installed()) SKIP("needs PostgreSQL's server");
  auto& server = postgres_server::get();
  auto c = rondo::run(postgres::connect(server.conninfo()));
  for (int i = 0; i < 3; ++i) {
    const auto rows = rondo::run(c.query("select $1", i));
    CHECK(rows[0].get<int>(0) == i);
  }
}

TEST_CASE("a loop that ends cancels the query of a spawned task, and the connection is fine") {
  if (!postgres_server::is_installed()) SKIP("needs PostgreSQL's server");
  auto& server = postgres_server::get();
  auto c = rondo::run(postgres::connect(server.conninfo()));
  rondo::run([](postgres::connection& on, postgres_server& its) -> task<> {
    rondo::spawn(on.query("select pg_sleep(1000)"));
    co_await until_busy(its, on.process_id());
  }(c, server));
  const auto rows = rondo::run(c.query("select 1"));
  CHECK(rows.size() == 1);
}
