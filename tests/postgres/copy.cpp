// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/copy.hpp>

#include "postgres/servers.hpp"

using namespace rondo::test;
using rondo::task;

namespace {

task<std::string> all_of(postgres::connection& c, std::string sql) {
  auto out = co_await c.copy_out(std::move(sql));
  std::string text;
  while (auto line = co_await out.next()) text += *line;
  co_return text;
}

}  // namespace

POSTGRES_TEST("rows that are copied in come out as they were, whatever characters they hold") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (n int, s text, b bytea, a text[])");
  const std::string odd = "tab\t line\n return\r back\\slash \\N quote\" {}, \xc3\xa9";
  const std::vector<std::byte> bytes{std::byte{0}, std::byte{9}, std::byte{255}};
  const std::vector<std::string> array{"a\\b", "", "NULL", "x\"y", "\t"};
  auto in = co_await c.copy_in("copy t from stdin");
  co_await in.row(1, odd, bytes, array);
  co_await in.row(2, std::optional<std::string>(), nullptr, std::nullopt);
  const auto count = co_await in.finish();
  CHECK(count == 2);
  const auto rows = co_await c.query("select * from t order by n");
  CHECK(rows[0].get<std::string>("s") == odd);
  CHECK(rows[0].get<std::vector<std::byte>>("b") == bytes);
  CHECK(rows[0].get<std::vector<std::string>>("a") == array);
  for (const char* const column : {"s", "b", "a"}) CHECK(rows[1].is_null(column));
}

POSTGRES_TEST("bytes are written in pieces that begin and end anywhere, and in other formats") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (n int, s text)");
  auto in = co_await c.copy_in("copy t from stdin (format csv)");
  const std::string_view text = "1,\"one\n\"\n2,two\n";
  for (const char byte : text) co_await in.write(std::string(1, byte));
  const auto count = co_await in.finish();
  CHECK(count == 2);
  const std::string csv = co_await all_of(c, "copy t to stdout (format csv)");
  CHECK(csv == text);
  const std::string some = co_await all_of(c, "copy (select n from t order by n) to stdout");
  CHECK(some == "1\n2\n");
}

POSTGRES_TEST("tens of megabytes are copied in and out") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (s text)");
  auto in = co_await c.copy_in("copy t from stdin");
  const std::string line = std::string(999, 'x') + "\n";
  std::string chunk;
  for (int i = 0; i < 5000; ++i) chunk += line;
  for (int i = 0; i < 4; ++i) co_await in.write(chunk);
  const auto count = co_await in.finish();
  CHECK(count == 20'000);
  auto out = co_await c.copy_out("copy t to stdout");
  std::size_t bytes = 0;
  while (auto row = co_await out.next()) bytes += row->size();
  CHECK(bytes == 4 * chunk.size());
}

POSTGRES_TEST(
    "what the server does not like is an error of the copy, in the middle or at the end") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (n int)");
  {
    auto in = co_await c.copy_in("copy t from stdin");
    co_await in.write("1\nx\n");
    const auto e = co_await error_of(in.finish());
    CHECK(e.sqlstate() == "22P02");
    CHECK(e.statement() == "copy t from stdin");
    CHECK_THROWS_AS(
        rondo::run([](postgres::copy_input& i) -> task<> { co_await i.write("1\n"); }(in)),
        std::logic_error);
  }
  const auto failing = co_await error_of(
      all_of(c, "copy (select 1/(5 - g) from generate_series(1, 10) g) to stdout"));
  CHECK(failing.sqlstate() == "22012");
  const auto unknown = co_await error_of(c.copy_in("copy nowhere from stdin"));
  CHECK(unknown.sqlstate() == postgres::sqlstate::undefined_table);
  CHECK(c.is_idle());
}

POSTGRES_TEST("a statement that is no COPY of that direction is a logic_error") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (n int)");
  for (const char* const sql : {"select 1", "copy t to stdout"}) {
    const auto result = co_await rondo::as_result(c.copy_in(sql));
    CHECK_THROWS_AS(result.value(), std::logic_error);
  }
  for (const char* const sql : {"select 1", "copy t from stdin"}) {
    const auto result = co_await rondo::as_result(c.copy_out(sql));
    CHECK_THROWS_AS(result.value(), std::logic_error);
  }
  const auto rows = co_await c.query("select 1");
  CHECK(rows.size() == 1);
}

POSTGRES_TEST("a copy in that is dropped or closed before its end has copied nothing") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (n int)");
  {
    auto in = co_await c.copy_in("copy t from stdin");
    co_await in.write("1\n2\n");
  }
  auto rows = co_await c.query("select count(*) from t");
  CHECK(rows[0].get<int>(0) == 0);
  auto in = co_await c.copy_in("copy t from stdin");
  co_await in.write("1\n2\n");
  co_await in.close();
  CHECK(c.is_idle());
  rows = co_await c.query("select count(*) from t");
  CHECK(rows[0].get<int>(0) == 0);
}

POSTGRES_TEST("a copy out that is dropped in the middle is stopped on the server") {
  auto watcher = co_await postgres::connect(server.conninfo());
  auto c = co_await postgres::connect(server.conninfo());
  {
    auto out = co_await c.copy_out(
        "copy (select repeat('x', 1000), generate_series(1, 100000000)) to stdout");
    const auto first = co_await out.next();
    REQUIRE(first);
    CHECK(first->size() == 1003);
  }
  const stopwatch since;
  const auto rows = co_await c.query("select 1");
  CHECK(rows.size() == 1);
  CHECK(since.elapsed() < at_most(3s));
}

POSTGRES_TEST("a canceled next of a copy out loses nothing") {
  auto c = co_await postgres::connect(server.conninfo());
  auto out =
      co_await c.copy_out("copy (select g, pg_sleep(0.03) from generate_series(1, 3) g) to stdout");
  std::string text;
  for (bool more = true; more;) {
    auto line = co_await rondo::try_for(5ms, out.next());
    if (!line) continue;
    more = line->has_value();
    if (more) text += **line;
  }
  CHECK(text == "1\t\n2\t\n3\t\n");
}

POSTGRES_TEST("a next that is canceled when all rows are there does not lose their end either") {
  late_line line(server);
  auto c = co_await postgres::connect(line.conninfo());
  line.be_late(500ms);
  auto out = co_await c.copy_out("copy (select 1) to stdout");
  const auto row = co_await out.next();
  CHECK(row == "1\n");
  const auto none = co_await rondo::try_for(20ms, out.next());
  CHECK_FALSE(none);
  const auto end = co_await out.next();
  CHECK_FALSE(end);
  CHECK(c.is_idle());
  co_await c.close();
  co_await line.close();
}

namespace {

constexpr int copied_rows = 5000;

task<std::uint64_t> copy_rows(postgres::connection& c, int id, bool& all_given) {
  auto in = co_await c.copy_in("copy t from stdin");
  for (int i = 0; i < copied_rows; ++i) co_await in.row(id, "abcdefghij");
  all_given = true;
  co_return co_await in.finish();
}

}  // namespace

POSTGRES_TEST("canceled at every moment of its finish, a copy is there if and only if it says so") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (id int, s text)");
  for (int i = 0; i < 40; ++i) {
    bool all_given = false;
    auto copying = rondo::spawn(copy_rows(c, i, all_given));
    while (!all_given) co_await rondo::yield();
    co_await rondo::sleep_for(i * 100us);
    copying.cancel();
    const auto result = co_await rondo::as_result(std::move(copying));
    CHECK((result || result.error() == rondo::errc::canceled));
    CHECK(c.is_idle());
    const auto rows = co_await c.query("select count(*) from t where id = $1", i);
    CHECK(rows[0].get<int>(0) == (result ? copied_rows : 0));
  }
}

POSTGRES_TEST("a finish that is canceled when the rows have been copied gives their number") {
  late_line line(server);
  auto c = co_await postgres::connect(line.conninfo());
  co_await c.query("create temp table t (id int, s text)");
  bool all_given = false;
  line.be_late(200ms);
  auto copying = rondo::spawn(copy_rows(c, 1, all_given));
  while (!all_given) co_await rondo::yield();
  co_await line.until_held();
  copying.cancel();
  const std::uint64_t count = co_await std::move(copying);
  CHECK(count == copied_rows);
  CHECK(c.is_idle());
  co_await c.close();
  co_await line.close();
}

POSTGRES_TEST("a finish that is canceled in time copies nothing, and the connection can be used") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query(
      "create temp table t (x int); "
      "create function pg_temp.look() returns trigger language plpgsql as "
      "'begin perform pg_sleep(1000); return null; end'; "
      "create trigger looking after insert on t execute function pg_temp.look()");
  auto in = co_await c.copy_in("copy t from stdin");
  co_await in.row(1);
  const auto finished = co_await rondo::try_for(20ms, in.finish());
  CHECK_FALSE(finished);
  CHECK(c.is_idle());  // although the copy_input is there
  const auto left = co_await c.query("select count(*) from t");
  CHECK(left[0].get<int>(0) == 0);
  co_await in.close();
}

POSTGRES_TEST("canceled while it writes to a server that does not read, a copy is given up") {
  auto c = co_await postgres::connect(server.conninfo());
  co_await c.query("create temp table t (s text)");
  c.cancel_timeout(100ms);
  const std::string big(50'000'000, 'x');
  auto in = co_await c.copy_in("copy t from stdin");
  {
    const postgres_server::freeze frozen(server);
    const auto code = co_await code_of(rondo::with_timeout(20ms, in.write(big)));
    CHECK(code == std::errc::timed_out);
  }
  co_await in.close();
}

POSTGRES_TEST("a server that dies in the middle of a copy: connection_lost") {
  const auto before = co_await descriptors_at_rest();
  for (int i = 0; i < 2; ++i) {
    auto c = co_await postgres::connect(server.conninfo());
    co_await c.query("create temp table t (s text)");
    if (i == 0) {
      auto in = co_await c.copy_in("copy t from stdin");
      co_await in.write("x\n");
      const postgres_server::crash gone(server);
      const auto e = co_await error_of(in.finish());
      CHECK(e.kind() == postgres::error_kind::connection_lost);
      CHECK(e.statement() == "copy t from stdin");
    } else {
      auto out = co_await c.copy_out(
          "copy (select repeat('x', 10000), pg_sleep(case when g < 5 then 0 else 1000 end) "
          "from generate_series(1, 1000) g) to stdout");
      const postgres_server::crash gone(server);
      std::optional<postgres::error> lost;
      while (!lost) {
        try {
          const auto line = co_await out.next();
          if (!line) break;
        } catch (const postgres::error& e) {
          lost = e;
        }
      }
      REQUIRE(lost);
      CHECK(lost->kind() == postgres::error_kind::connection_lost);
      const auto end = co_await out.next();
      CHECK_FALSE(end);
    }
  }
  CHECK(rondo_test::open_descriptors() == before);
}
