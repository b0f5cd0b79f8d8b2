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

namespace {

/// What is said against something that was done wrong; nothing if it went well, or was canceled.
template <typename A>
task<std::string> complaint(A what) {
  std::string said;
  try {
    co_await std::move(what);
  } catch (const std::logic_error& e) {
    said = e.what();
  }
  co_return said;
}
bool has(const std::string& text, std::string_view words) {
  return text.find(words) != std::string::npos;
}

task<> insert_and_wait_for(postgres::connection& c, int x, rondo::event& reached,
                           rondo::event& go_on) {
  co_await insert(c, x);
  reached.set();
  co_await go_on.wait();
}
task<> insert_and_fail_after(postgres::connection& c, int x, rondo::event& reached,
                             rondo::event& go_on) {
  co_await insert_and_wait_for(c, x, reached, go_on);
  throw oops();
}
task<> insert_inside(postgres::connection& c, int x) { co_await c.transaction(insert, x); }

}  // namespace

POSTGRES_TEST("a transaction that another task begins meanwhile is refused, and nothing is sent") {
  auto c = co_await with_table(server);
  rondo::event begun, end;
  auto first = rondo::spawn(
      throws_oops(c.transaction(insert_and_fail_after, 1, std::ref(begun), std::ref(end))));
  co_await begun.wait();
  for (int i = 0; i < 2; ++i) {
    const std::string said = co_await complaint(c.transaction(insert, 2));
    CHECK(has(said, "another task"));
    CHECK(has(said, "postgres::pool"));
  }
  CHECK(PQtransactionStatus(c.native_handle()) == PQTRANS_INTRANS);
  end.set();
  const bool threw = co_await std::move(first);
  CHECK(threw);
  CHECK(c.is_idle());
  co_await c.transaction(insert, 3);
  const int left = co_await count(c);
  CHECK(left == 1);
}

POSTGRES_TEST("what another task asks of a connection that has a transaction open is refused") {
  auto c = co_await with_table(server);
  const postgres::statement prepared = co_await c.prepare("insert into t values (7)");
  rondo::event begun, end;
  auto first = rondo::spawn(
      throws_oops(c.transaction(insert_and_fail_after, 1, std::ref(begun), std::ref(end))));
  co_await begun.wait();
  std::vector<std::string> said;
  said.push_back(co_await complaint(c.query("insert into t values (2)")));
  said.push_back(co_await complaint(c.query(prepared)));
  said.push_back(co_await complaint(c.prepare("select 1")));
  said.push_back(co_await complaint(c.pipeline()));
  said.push_back(co_await complaint(c.copy_in("copy t from stdin")));
  said.push_back(co_await complaint(c.copy_out("copy t to stdout")));
  for (const std::string& each : said) {
    CHECK(has(each, "another task has a transaction open"));
    CHECK(has(each, "postgres::pool"));
  }
  end.set();
  const bool threw = co_await std::move(first);
  CHECK(threw);
  co_await c.query(prepared);
  const auto rows = co_await c.query("select array_agg(x) from t");
  CHECK(rows[0].get<std::vector<int>>(0) == std::vector{7});
}

POSTGRES_TEST("a statement of a body is refused while one of its tasks has a savepoint open") {
  auto c = co_await with_table(server);
  const auto body = [](postgres::connection& t) -> task<> {
    rondo::event begun, end;
    auto inner = rondo::spawn(t.transaction(insert_and_wait_for, 1, std::ref(begun), std::ref(end)));
    co_await begun.wait();
    const std::string said = co_await complaint(insert(t, 2));
    CHECK(has(said, "another task has a transaction open"));
    end.set();
    co_await std::move(inner);
    co_await insert(t, 3);
  };
  co_await c.transaction(body);
  const auto rows = co_await c.query("select array_agg(x order by x) from t");
  CHECK(rows[0].get<std::vector<int>>(0) == std::vector{1, 3});
}

POSTGRES_TEST("the first transaction does not notice one that was refused, and is committed") {
  auto c = co_await with_table(server);
  rondo::event begun, end;
  auto first = rondo::spawn(c.transaction(insert_and_wait_for, 1, std::ref(begun), std::ref(end)));
  co_await begun.wait();
  const std::string said = co_await complaint(c.transaction(insert_and_throw, 2));
  CHECK(has(said, "another task"));
  end.set();
  co_await std::move(first);
  const auto rows = co_await c.query("select array_agg(x) from t");
  CHECK(rows[0].get<std::vector<int>>(0) == std::vector{1});
}

POSTGRES_TEST("what is begun in a canceled scope, or at the same time, is not open afterwards") {
  auto c = co_await with_table(server);
  for (int i = 0; i < 10; ++i) {
    const auto both = co_await rondo::when_all_settled(c.transaction(insert, 2 * i),
                                                       c.transaction(insert, 2 * i + 1));
    CHECK(std::get<0>(both).has_value());
    CHECK_THROWS_AS(std::get<1>(both).value(), std::logic_error);
    auto canceled = rondo::spawn(c.transaction(insert, 100));
    canceled.cancel();
    const auto code = co_await code_of(std::move(canceled));
    CHECK(code == rondo::errc::canceled);
  }
  const int left = co_await count(c);
  CHECK(left == 10);
}

POSTGRES_TEST("children of a body, and tasks that it spawns, are in its transaction") {
  auto c = co_await with_table(server);
  const auto body = [](postgres::connection& t) -> task<> {
    co_await rondo::when_all(t.transaction(insert, 1));
    co_await rondo::with_timeout(1h, t.transaction(insert_inside, 2));
    co_await rondo::shield(t.transaction(insert, 3));
    co_await rondo::spawn(t.transaction(insert, 4));
    rondo::event end;
    auto late = rondo::spawn([](postgres::connection& u, rondo::event& e) -> task<> {
      co_await e.wait();
      co_await u.transaction(insert, 6);
    }(t, end));
    co_await t.transaction(insert, 5);
    end.set();
    co_await std::move(late);
    throw oops();
  };
  const bool threw = co_await throws_oops(c.transaction(body));
  CHECK(threw);
  const int left = co_await count(c);
  CHECK(left == 0);
}

POSTGRES_TEST("a task that was spawned in a transaction inside is in the one around it") {
  auto c = co_await with_table(server);
  const auto outer = [](postgres::connection& t) -> task<> {
    rondo::event end;
    rondo::join_handle<> late;
    const auto inner = [](postgres::connection& u, rondo::event& e,
                          rondo::join_handle<>& l) -> task<> {
      l = rondo::spawn([](postgres::connection& v, rondo::event& f) -> task<> {
        co_await f.wait();
        co_await v.transaction(insert, 1);
      }(u, e));
      co_return;
    };
    co_await t.transaction(inner, std::ref(end), std::ref(late));
    end.set();
    co_await std::move(late);
  };
  co_await c.transaction(outer);
  const int left = co_await count(c);
  CHECK(left == 1);
}

POSTGRES_TEST("two transactions at once in the body of one: the second one is refused") {
  auto c = co_await with_table(server);
  const auto body = [](postgres::connection& t) -> task<> {
    rondo::event begun, end;
    auto first =
        rondo::spawn(t.transaction(insert_and_wait_for, 1, std::ref(begun), std::ref(end)));
    co_await begun.wait();
    const std::string said = co_await complaint(t.transaction(insert, 2));
    CHECK(has(said, "another task"));
    end.set();
    co_await std::move(first);
  };
  co_await c.transaction(body);
  const int left = co_await count(c);
  CHECK(left == 1);
}

POSTGRES_TEST("transactions on two connections are in each other, and do not mind") {
  auto c = co_await with_table(server);
  auto d = co_await with_table(server);
  const auto body = [](postgres::connection& t, postgres::connection& other) -> task<> {
    const auto inside = [](postgres::connection& u, postgres::connection& first) -> task<> {
      co_await insert(u, 1);
      co_await first.transaction(insert, 1);
    };
    co_await other.transaction(inside, std::ref(t));
  };
  co_await c.transaction(body, std::ref(d));
  for (auto* const each : {&c, &d}) {
    const int left = co_await count(*each);
    CHECK(left == 1);
  }
}

POSTGRES_TEST("a transaction that ends before one that was begun in it ends the connection, too") {
  auto watcher = co_await postgres::connect(server.conninfo());
  co_await watcher.query(
      "drop table if exists late_transactions; create table late_transactions ()");
  auto c = co_await postgres::connect(server.conninfo());
  rondo::event begun, end;
  rondo::join_handle<> late;
  const auto inner = [](postgres::connection& u, rondo::event& b, rondo::event& e) -> task<> {
    b.set();
    co_await e.wait();
    co_await u.query("insert into late_transactions default values");
  };
  const auto body = [&](postgres::connection& t) -> task<> {
    co_await t.query("insert into late_transactions default values");
    late = rondo::spawn(t.transaction(inner, std::ref(begun), std::ref(end)));
    co_await begun.wait();
  };
  const std::string said = co_await complaint(c.transaction(body));
  CHECK(has(said, "before one that was begun in it"));
  CHECK_FALSE(c.is_open());
  end.set();
  const auto e = co_await error_of(std::move(late));
  CHECK(e.kind() == postgres::error_kind::connection_lost);
  const auto rows = co_await watcher.query("select * from late_transactions");
  CHECK(rows.empty());
  co_await watcher.query("drop table late_transactions");
}

POSTGRES_TEST("a body that ends the transaction itself is a logic_error, or has one of its own") {
  auto c = co_await with_table(server);
  const auto by_hand = [](postgres::connection& t, std::string sql, bool fails) -> task<> {
    co_await t.query(std::move(sql));
    if (fails) throw oops();
  };
  const auto inside = [by_hand](postgres::connection& t, std::string sql, bool fails) -> task<> {
    co_await t.transaction(by_hand, std::move(sql), fails);
  };
  const auto then_inside = [](postgres::connection& t, std::string sql, bool) -> task<> {
    co_await t.query(std::move(sql));
    co_await t.transaction(insert, 1);
  };
  for (const char* const sql : {"commit", "rollback"}) {
    for (const bool fails : {false, true}) {
      const auto one = co_await rondo::as_result(c.transaction(by_hand, sql, fails));
      CHECK(has(one.message(), "before its body") == !fails);
      const auto two = co_await rondo::as_result(c.transaction(inside, sql, fails));
      CHECK(has(two.message(), "before its body") == !fails);
      const std::string said = co_await complaint(c.transaction(then_inside, sql, fails));
      CHECK(has(said, "before its body"));
      CHECK(c.is_idle());
    }
  }
  const int left = co_await count(c);
  CHECK(left == 0);
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
