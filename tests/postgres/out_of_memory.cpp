// SPDX-License-Identifier: BSL-1.0

// A database while memory runs out.

#include "support/out_of_memory.hpp"

#include <string>
#include <utility>
#include <vector>

#include "postgres/servers.hpp"
#include "support/heap.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

task<> insert_one(postgres::connection& c) { co_await c.query("insert into t values ($1)", 1); }

task<> use(postgres::connection& c) {
  co_await c.query("create temp table t (x int)");
  co_await c.transaction(insert_one);
  {
    auto p = co_await c.pipeline();
    for (int i = 0; i < 3; ++i) p.query("insert into t values ($1)", i);
    const auto all = co_await p.finish();
    expect(all.size() == 3, "three answers");
  }
  {
    auto in = co_await c.copy_in("copy t from stdin");
    co_await in.row(4);
    co_await in.finish();
  }
  {
    auto out = co_await c.copy_out("copy t to stdout");
    while (auto line = co_await out.next()) expect(line->ends_with('\n'), "a line");
  }
  const auto rows = co_await c.query("select array_agg(x) as all from t");
  expect(rows[0].get<std::vector<int>>("all").size() == 5, "five rows");
}

task<> session(std::string conninfo) {
  auto c = co_await postgres::connect(std::move(conninfo));
  co_await use(c);
}

}  // namespace

ON_BOTH_RINGS("out of memory: everything that a connection does", {
  if (!postgres_server::is_installed()) SKIP("needs PostgreSQL's server");
  const std::string conninfo = postgres_server::get().local();
  fail_each_allocation([&] { return session(conninfo); });
})

// What a statement costs the heap.

namespace {

task<std::size_t> allocations_of_queries(std::string conninfo) {
  auto c = co_await postgres::connect(std::move(conninfo));
  for (int i = 0; i < 10; ++i) co_await c.query("select 1");
  const auto before = rondo_test::allocations();
  for (int i = 0; i < 100; ++i) co_await c.query("select 1");
  co_return rondo_test::allocations() - before;
}

}  // namespace

TEST_CASE("a short statement without arguments allocates nothing besides what libpq does") {
  if (!rondo_test::heap_is_counted() || RONDO_FRAME_POOL == 0) SKIP("needs a counted heap");
  if (!postgres_server::is_installed()) SKIP("needs PostgreSQL's server");
  CHECK(rondo::run(allocations_of_queries(postgres_server::get().local())) == 0);
}
