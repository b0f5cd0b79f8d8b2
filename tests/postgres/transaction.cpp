// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/transaction.hpp>

#include "postgres/servers.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

struct oops {};

task<> insert(postgres::connection& c, int x) { co_await c.query("insert into t values ($1)", x); }
task<> insert_slowly(postgres::connection& c, int x, double seconds) {
  co_await c.query("insert into t select $1 from pg_sleep($2)", x, seconds);
}
task<> insert_and_throw(postgres::connection& c, int x) {
  co_await c.query("insert into t values ($1)", x);
  throw oops();
}
task<> insert_and_wait(postgres::connection& c, int x) {
  co_await c.query("insert into t values ($1)", x);
  co_await rondo::sleep_for(1h);
}
task<int> count(postgres::connection& c) {
  const auto rows = co_await c.query("select count(*) from t");
  co_return rows[0].get<int>(0);
}
task<postgres::connection> with_table(const postgres_server& server) {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (x int primary key deferrable initially deferred)");
  co_return c;
}
template <typename A>
task<bool> throws_oops(A what) {
  try {
    co_await std::move(what);
  } catch (const oops&) {
    co_return true;
  }
  co_return false;
}

}  // namespace

POSTGRES_TEST("a transaction is committed when its body ends, and gives what that gives") {
  auto c = co_await with_table(server);
  co_await c.transaction(insert, 1);
  const int seen = co_await c.transaction(count);
  CHECK(seen == 1);
  const std::string without_a_connection =
      co_await c.transaction([](std::string s) -> task<std::string> { co_return s; }, "x");
  CHECK(without_a_connection == "x");
  CHECK(c.is_idle());
}

POSTGRES_TEST("a transaction is rolled back when its body throws, and throws that") {
  auto c = co_await with_table(server);
  const bool threw = co_await throws_oops(c.transaction(insert_and_throw, 1));
  CHECK(threw);
  CHECK(c.is_idle());
  const int left = co_await count(c);
  CHECK(left == 0);
}

POSTGRES_TEST("a transaction is rolled back when a statement fails") {
  auto c = co_await with_table(server);
  const auto body = [](postgres::connection& t) -> task<> {
    co_await t.query("insert into t values (1)");
    co_await t.query("select 1/0");
  };
  const auto e = co_await error_of(c.transaction(body));
  CHECK(e.sqlstate() == "22012");
  CHECK(c.is_idle());
  const int left = co_await count(c);
  CHECK(left == 0);
}

POSTGRES_TEST("a canceled transaction is rolled back, out of reach of the cancellation") {
  auto c = co_await with_table(server);
  for (int i = 0; i < 60; ++i) {
    auto running = rondo::spawn(c.transaction(insert_and_wait, i));
    co_await rondo::sleep_for(std::chrono::microseconds(50 * i));
    running.cancel();
    const auto code = co_await code_of(std::move(running));
    CHECK(code == rondo::errc::canceled);
    CHECK(c.is_idle());
  }
  const int left = co_await count(c);
  CHECK(left == 0);
}

POSTGRES_TEST(
    "canceled at every moment, a transaction is committed if and only if it gives its value") {
  auto watcher = co_await postgres::connect(server.conninfo());
  auto c = co_await with_table(server);
  const int all = 100;
  int committed = 0;
  for (int i = 0; i < all; ++i) {
    // The first is stopped, and the last is not, whatever the machine; in between it is a race.
    const double seconds = i == 0 ? 1000 : 0.01;
    auto running = rondo::spawn(c.transaction(insert_slowly, i, seconds));
    if (i == 0) {
      co_await until_activity(watcher, c.process_id(), "active: insert");
    } else if (i == all - 1) {
      co_await running.wait();
    } else {
      co_await rondo::sleep_for(std::chrono::microseconds(200 * i));
    }
    running.cancel();
    const auto code = co_await code_of(std::move(running));
    if (!code) ++committed;
    CHECK((!code || code == rondo::errc::canceled));
    CHECK(c.is_idle());
  }
  const int left = co_await count(c);
  CHECK(left == committed);
  CHECK(committed > 0);
  CHECK(committed < all);
}

POSTGRES_TEST("a transaction that a frozen server does not roll back ends within the limit") {
  auto c = co_await with_table(server);
  const auto usual = c.cancel_timeout();
  c.cancel_timeout(100ms);
  rondo::event asleep;
  const auto body = [](postgres::connection& t, rondo::event& reached) -> task<> {
    co_await insert(t, 1);
    reached.set();
    co_await rondo::sleep_for(1h);
  };
  auto running = rondo::spawn(c.transaction(body, std::ref(asleep)));
  co_await asleep.wait();
  const postgres_server::freeze frozen(server);
  const stopwatch since;
  running.cancel();
  const auto code = co_await code_of(std::move(running));
  CHECK(code == rondo::errc::canceled);
  CHECK(since.elapsed() >= 100ms);
  CHECK(since.elapsed() < usual);
  CHECK_FALSE(c.is_open());
}

namespace {

/// Its commit is what finds the server frozen.
task<> insert_and_freeze(postgres::connection& c, std::optional<postgres_server::freeze>& frozen,
                         postgres_server& server) {
  co_await insert(c, 1);
  frozen.emplace(server);
}
/// Until the server was told to commit.
task<> until_told(postgres::connection& c, std::optional<postgres_server::freeze>& frozen) {
  while (!frozen || PQtransactionStatus(c.native_handle()) != PQTRANS_ACTIVE) {
    co_await rondo::yield();
  }
}

}  // namespace

POSTGRES_TEST("a canceled commit that a frozen server does not answer ends within the limit") {
  postgres::pool db(server.conninfo());
  auto c = co_await db.acquire();
  co_await c->query("create temp table t (x int)");
  const auto usual = c->cancel_timeout();
  c->cancel_timeout(100ms);
  std::optional<postgres_server::freeze> frozen;
  auto running =
      rondo::spawn(error_of(c->transaction(insert_and_freeze, std::ref(frozen), std::ref(server))));
  co_await until_told(*c, frozen);
  co_await rondo::sleep_for(200ms);
  CHECK_FALSE(running.done());  // there is no limit for who is not canceled
  const stopwatch since;
  running.cancel();
  const auto e = co_await std::move(running);
  CHECK(e.kind() == postgres::error_kind::connection_lost);
  CHECK(e.sqlstate() == postgres::sqlstate::transaction_resolution_unknown);
  CHECK(std::string(e.what()) ==
        "canceled, and the server did not answer within cancel_timeout; whether the transaction "
        "was committed is unknown (08007) [commit]");
  CHECK(since.elapsed() >= 100ms);
  CHECK(since.elapsed() < usual);
  CHECK_FALSE(c->is_open());
  c.release();
  CHECK(db.idle() == 0);
}

POSTGRES_TEST("a canceled commit that the server answers within the limit counts") {
  auto c = co_await with_table(server);
  std::optional<postgres_server::freeze> frozen;
  auto running = rondo::spawn(c.transaction(insert_and_freeze, std::ref(frozen), std::ref(server)));
  co_await until_told(c, frozen);
  running.cancel();
  co_await rondo::sleep_for(20ms);
  CHECK_FALSE(running.done());
  frozen.reset();
  co_await std::move(running);
  CHECK(c.is_idle());
  const int left = co_await count(c);
  CHECK(left == 1);
}

POSTGRES_TEST("a savepoint that a frozen server does not release was not committed") {
  auto c = co_await with_table(server);
  c.cancel_timeout(100ms);
  std::optional<postgres_server::freeze> frozen;
  const auto outer = [](postgres::connection& t, std::optional<postgres_server::freeze>& ice,
                        postgres_server& s) -> task<> {
    co_await t.transaction(insert_and_freeze, std::ref(ice), std::ref(s));
  };
  auto running = rondo::spawn(error_of(c.transaction(outer, std::ref(frozen), std::ref(server))));
  co_await until_told(c, frozen);
  running.cancel();
  const auto e = co_await std::move(running);
  CHECK(e.kind() == postgres::error_kind::connection_lost);
  CHECK(e.sqlstate() == postgres::sqlstate::connection_lost);
  CHECK(e.message() == "canceled, and the server did not answer within cancel_timeout");
  CHECK_FALSE(c.is_open());
}

POSTGRES_TEST("a server that dies in a commit leaves it unknown whether there was one") {
  auto c = co_await with_table(server);
  std::optional<postgres_server::freeze> frozen;
  auto running =
      rondo::spawn(error_of(c.transaction(insert_and_freeze, std::ref(frozen), std::ref(server))));
  co_await until_told(c, frozen);
  { const postgres_server::crash gone(server); }
  const auto e = co_await std::move(running);
  frozen.reset();
  CHECK(e.kind() == postgres::error_kind::connection_lost);
  CHECK(e.sqlstate() == postgres::sqlstate::transaction_resolution_unknown);
  CHECK_FALSE(c.is_open());
}

POSTGRES_TEST("a body that swallows the error of a statement does not pass for a commit") {
  auto c = co_await with_table(server);
  const auto body = [](postgres::connection& t) -> task<> {
    co_await t.query("insert into t values (1)");
    static_cast<void>(co_await error_of(t.query("select 1/0")));
  };
  const auto e = co_await error_of(c.transaction(body));
  CHECK(e.sqlstate() == postgres::sqlstate::in_failed_transaction);
  const int left = co_await count(c);
  CHECK(left == 0);
}

POSTGRES_TEST("what the server refuses to commit is an error") {
  auto c = co_await with_table(server);
  const auto body = [](postgres::connection& t) -> task<> {
    co_await t.query("insert into t values (1)");
    co_await t.query("insert into t values (1)");  // looked at when all is done
  };
  const auto e = co_await error_of(c.transaction(body));
  CHECK(e.sqlstate() == postgres::sqlstate::unique_violation);
  CHECK(e.statement() == "commit");
  CHECK(c.is_idle());
}

POSTGRES_TEST("a transaction inside a transaction is undone alone") {
  auto c = co_await with_table(server);
  const auto outer = [](postgres::connection& t) -> task<> {
    co_await insert(t, 1);
    const bool threw = co_await throws_oops(t.transaction(insert_and_throw, 2));
    CHECK(threw);
    co_await t.transaction(insert, 3);
    const auto inner = [](postgres::connection& u) -> task<> {
      co_await u.transaction(insert, 4);
      co_await u.query("select 1/0");
    };
    const auto e = co_await error_of(t.transaction(inner));
    CHECK(e.sqlstate() == "22012");
  };
  co_await c.transaction(outer);
  const auto rows = co_await c.query("select array_agg(x order by x) from t");
  CHECK(rows[0].get<std::vector<int>>(0) == std::vector{1, 3});
}

POSTGRES_TEST("a transaction in one that was begun by hand is undone alone, too") {
  auto c = co_await with_table(server);
  co_await c.query("begin");
  co_await insert(c, 1);
  const bool threw = co_await throws_oops(c.transaction(insert_and_throw, 2));
  CHECK(threw);
  co_await c.query("commit");
  const int left = co_await count(c);
  CHECK(left == 1);
}

POSTGRES_TEST("a query that is canceled inside a transaction is one that failed there") {
  auto c = co_await with_table(server);
  const auto body = [](postgres::connection& t) -> task<> {
    co_await insert(t, 1);
    const auto ended = co_await rondo::try_for(20ms, t.query("select pg_sleep(1000)"));
    CHECK_FALSE(ended);
  };
  const auto e = co_await error_of(c.transaction(body));
  CHECK(e.sqlstate() == postgres::sqlstate::in_failed_transaction);
}

POSTGRES_TEST("a server that dies in a transaction: the body's error is thrown") {
  auto c = co_await with_table(server);
  const auto body = [](postgres::connection& t, postgres_server& s) -> task<> {
    co_await insert(t, 1);
    { const postgres_server::crash gone(s); }
    co_await insert(t, 2);
  };
  const auto e = co_await error_of(c.transaction(body, std::ref(server)));
  CHECK(e.kind() == postgres::error_kind::connection_lost);
  CHECK(e.statement() == "insert into t values ($1)");
  auto d = co_await with_table(server);
  const auto throwing = [](postgres::connection& t, postgres_server& s) -> task<> {
    co_await insert(t, 1);
    { const postgres_server::crash gone(s); }
    throw oops();
  };
  const bool threw = co_await throws_oops(d.transaction(throwing, std::ref(server)));
  CHECK(threw);
  CHECK_FALSE(d.is_open());
}
