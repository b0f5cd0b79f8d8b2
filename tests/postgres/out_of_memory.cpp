// SPDX-License-Identifier: BSL-1.0

// A database while memory runs out.

#include "support/out_of_memory.hpp"

#include <dirent.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "postgres/servers.hpp"
#include "support/heap.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

/// The threads of this process, listed without operator new. One that was joined may be listed for
/// a moment, so they are not just counted.
class threads {
 public:
  threads() {
    DIR* const folder = ::opendir("/proc/self/task");
    while (const dirent* const entry = ::readdir(folder)) {
      if (count_ < ids_.size()) ids_[count_++] = std::atoi(entry->d_name);
    }
    ::closedir(folder);
  }
  [[nodiscard]] bool are_all_among(const threads& others) const {
    return std::all_of(ids_.begin(), ids_.begin() + count_, [&others](int id) {
      const auto end = others.ids_.begin() + others.count_;
      return std::find(others.ids_.begin(), end, id) != end;
    });
  }

 private:
  std::array<int, 100> ids_{};
  std::size_t count_ = 0;
};

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

/// The thread that asks the server to stop owns its memory, and outlives what it works for.
task<> session(std::string conninfo) {
  bool failed = false;
  {
    auto c = co_await postgres::connect(std::move(conninfo));
    const threads before;
    try {
      co_await use(c);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    while (!threads().are_all_among(before)) co_await rondo::sleep_for(std::chrono::milliseconds(1));
  }
  if (failed) throw std::bad_alloc();
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
