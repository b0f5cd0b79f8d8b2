// SPDX-License-Identifier: BSL-1.0
//
// Many statements without a round trip for each: one after the other, in a pipeline, and as a
// bulk copy.
//
// If there is no server, these start one (as a user who is not root; Debian has the programs in
// /usr/lib/postgresql/15/bin):
//
//     initdb -D /tmp/db -U postgres
//     pg_ctl -D /tmp/db -o "-k /tmp" -l /tmp/db/log -w start
//
//     ./postgres_pipeline "host=/tmp user=postgres dbname=postgres"
//     10000 inserts one after the other: 412 ms
//     10000 inserts in a pipeline: 81 ms
//     10000 rows by copy: 9 ms
//     30000 rows are there

#include <chrono>
#include <cstdio>
#include <rondo/postgres.hpp>
#include <rondo/rondo.hpp>
#include <string>

namespace postgres = rondo::postgres;
constexpr int many = 10'000;

class stopwatch {
 public:
  explicit stopwatch(const char* what) : what_(what) {}
  ~stopwatch() {
    using namespace std::chrono;
    const auto took = duration_cast<milliseconds>(steady_clock::now() - begin_);
    std::printf("%d %s: %d ms\n", many, what_, static_cast<int>(took.count()));
  }

 private:
  const char* what_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

rondo::task<> one_after_the_other(postgres::connection& c, const postgres::statement& insert) {
  const stopwatch time("inserts one after the other");
  for (int i = 0; i < many; ++i) co_await c.query(insert, i, "some text");
}

// [pipeline]
rondo::task<> in_a_pipeline(postgres::connection& c, const postgres::statement& insert) {
  const stopwatch time("inserts in a pipeline");
  auto p = co_await c.pipeline();
  for (int i = 0; i < many; ++i) p.query(insert, i, "some text");
  co_await p.finish();
}
// [pipeline]

rondo::task<> by_copy(postgres::connection& c) {
  const stopwatch time("rows by copy");
  auto in = co_await c.copy_in("copy items from stdin");
  for (int i = 0; i < many; ++i) co_await in.row(i, "some text");
  co_await in.finish();
}

rondo::task<> demonstrate(std::string conninfo) {
  auto c = co_await postgres::connect(conninfo);
  co_await c.query("create temp table items (id int, name text)");
  const auto insert = co_await c.prepare("insert into items values ($1, $2)");
  co_await one_after_the_other(c, insert);
  co_await in_a_pipeline(c, insert);
  co_await by_copy(c);
  const auto rows = co_await c.query("select count(*) from items");
  std::printf("%d rows are there\n", rows[0].get<int>(0));
}

int main(int argc, char** argv) {
  return rondo::run_main(demonstrate(argc > 1 ? argv[1] : ""));  // "": what PGHOST, ... say
}
