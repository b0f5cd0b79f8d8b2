// SPDX-License-Identifier: BSL-1.0
//
// A database: statements with arguments, a transaction that is undone when its task fails, a limit
// that stops a statement on the server, and many tasks that share a few connections.
//
// If there is no server, these start one (as a user who is not root; Debian has the programs in
// /usr/lib/postgresql/15/bin):
//
//     initdb -D /tmp/db -U postgres
//     pg_ctl -D /tmp/db -o "-k /tmp" -l /tmp/db/log -w start
//
//     ./postgres_query "host=/tmp user=postgres dbname=postgres"
//     ada has 70, bob has 30
//     after a transfer that failed: ada has 70, bob has 30
//     the slow statement was stopped
//     100 queries over 4 connections: 4950

#include <chrono>
#include <cstdio>
#include <rondo/postgres.hpp>
#include <rondo/rondo.hpp>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
namespace postgres = rondo::postgres;

rondo::task<> show(postgres::connection& c) {
  const char* separator = "";
  for (const auto row : co_await c.query("select name, sum from accounts order by name")) {
    const auto [name, sum] = row.as<std::string, int>();
    std::printf("%s%s has %d", std::exchange(separator, ", "), name.c_str(), sum);
  }
  std::puts("");
}

// [transfer]
rondo::task<> transfer(postgres::connection& c, std::string from, std::string to, int sum) {
  co_await c.query("update accounts set sum = sum + $1 where name = $2", sum, to);
  co_await c.query("update accounts set sum = sum - $1 where name = $2", sum, from);
}

// Committed when its task ends. When that fails it is undone, the first of the updates as well.
rondo::task<bool> try_transfer(postgres::connection& c, std::string from, std::string to, int sum) {
  try {
    co_await c.transaction(transfer, from, to, sum);
    co_return true;
  } catch (const postgres::error& e) {
    if (e.sqlstate() != postgres::sqlstate::check_violation) throw;
    co_return false;
  }
}
// [transfer]

rondo::task<int> ask(postgres::pool& db, int i) {
  const auto rows = co_await db.query("select $1 from pg_sleep(0.01)", i);
  co_return rows[0].get<int>(0);
}

rondo::task<> demonstrate(std::string conninfo) {
  auto c = co_await postgres::connect(conninfo);
  co_await c.query(
      "create temp table accounts (name text primary key, sum int check (sum >= 0));"
      "insert into accounts values ('ada', 100), ('bob', 0)");
  co_await try_transfer(c, "ada", "bob", 30);
  co_await show(c);
  const bool done = co_await try_transfer(c, "ada", "bob", 1000);
  if (!done) std::printf("after a transfer that failed: ");
  co_await show(c);

  const auto in_time = co_await rondo::try_for(50ms, c.query("select pg_sleep(3600)"));
  if (!in_time) std::puts("the slow statement was stopped");

  postgres::pool db(conninfo, postgres::pool_options().max_connections(4));
  std::vector<rondo::task<int>> queries;
  for (int i = 0; i < 100; ++i) queries.push_back(ask(db, i));
  int sum = 0;
  for (const int one : co_await rondo::when_all(std::move(queries))) sum += one;
  std::printf("100 queries over 4 connections: %d\n", sum);
}

int main(int argc, char** argv) {
  return rondo::run_main(demonstrate(argc > 1 ? argv[1] : ""));  // "": what PGHOST, ... say
}
