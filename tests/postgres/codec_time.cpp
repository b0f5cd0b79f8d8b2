// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/codec_time.hpp>

#include "postgres/servers.hpp"

using namespace rondo::test;
using namespace std::chrono;
using rondo::task;

namespace {

using Catch::Matchers::ContainsSubstring;
using fine = sys_time<microseconds>;
using fine_local = local_time<microseconds>;

/// What is said against reading a value as a T; "" if it can be.
template <typename T>
std::string misread(const rondo::postgres::row& from, const char* column) {
  try {
    static_cast<void>(from.get<T>(column));
    return "";
  } catch (const rondo::postgres::error& e) {
    CHECK(e.kind() == rondo::postgres::error_kind::conversion);
    return e.what();
  }
}

}  // namespace

POSTGRES_TEST("moments go there and back, in whatever time zone the connection is") {
  auto c = co_await postgres::connect(server.conninfo());
  for (const char* const zone : {"UTC", "Asia/Kolkata", "America/St_Johns", "Africa/Monrovia"}) {
    co_await c.query(std::string("set timezone = '") + zone + "'");
    for (const fine moment :
         {fine(sys_days(2024y / 2 / 29) + 23h + 59min + 59s + 123456us),
          fine(sys_days(1900y / 1 / 1) + 1us), fine(sys_days(1969y / 12 / 31) - 1us),
          fine(sys_days(year(-43) / 3 / 15)), fine(sys_days(9999y / 12 / 31)),
          fine(sys_days(20000y / 1 / 1)), fine()}) {
      const fine same = co_await back(c, moment);
      CHECK(same == moment);
    }
  }
  const auto rows = co_await c.query("select $1 = timestamptz '2024-02-29 12:00:00+02'",
                                     sys_time<seconds>(sys_days(2024y / 2 / 29) + 10h));
  CHECK(rows[0].get<bool>(0));
}

POSTGRES_TEST("now is now") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto rows =
      co_await c.query("select clock_timestamp() as now, $1 as mine", system_clock::now());
  const auto distance =
      rows[0].get<system_clock::time_point>("now") - rows[0].get<system_clock::time_point>("mine");
  CHECK(distance < 10s);
  CHECK(distance > -10s);
}

POSTGRES_TEST("dates, and times without a zone") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto date = co_await back(c, 2024y / 2 / 29);
  CHECK(date == 2024y / 2 / 29);
  const auto day = co_await back(c, sys_days(1y / 1 / 1) - days(1));
  CHECK(day == sys_days(1y / 1 / 1) - days(1));
  const local_time<microseconds> local(local_days(2024y / 2 / 29) + 3h + 1us);
  const auto same = co_await back(c, local);
  CHECK(same == local);
  const auto rows =
      co_await c.query("select timestamp '2024-02-29 12:00' as utc, $1::date - $2::date as days",
                       2024y / 3 / 1, sys_days(2024y / 2 / 28));
  CHECK(rows[0].get<sys_time<minutes>>("utc") == sys_days(2024y / 2 / 29) + 12h);
  CHECK(rows[0].get<int>("days") == 2);
}

POSTGRES_TEST("infinity is the end of time") {
  auto c = co_await postgres::connect(server.conninfo());
  for (const auto moment : {system_clock::time_point::max(), system_clock::time_point::min()}) {
    const auto same = co_await back(c, moment);
    CHECK(same == moment);
  }
  const auto day = co_await back(c, sys_days::max());
  CHECK(day == sys_days::max());
  const auto rows = co_await c.query("select date 'infinity' as last, date '-infinity' as first");
  CHECK_THAT(misread<year_month_day>(rows[0], "last"), ContainsSubstring("sys_days"));
  CHECK_THAT(misread<year_month_day>(rows[0], "first"), ContainsSubstring("sys_days"));
}

POSTGRES_TEST("years that std::chrono does not have are refused, both ways") {
  auto c = co_await postgres::connect(server.conninfo());
  const auto last = co_await back(c, sys_days(year::max() / December / 31));
  CHECK(last == sys_days(year::max() / December / 31));
  const sys_days later = last + days(1);
  CHECK_THROWS_AS(c.query("select $1::date", later), std::invalid_argument);
  CHECK_THROWS_AS(c.query("select $1::timestamp", fine_local(later.time_since_epoch())),
                  std::invalid_argument);
  const auto rows = co_await c.query("select date '40000-01-01' as day, timestamp '40000-01-01' as t");
  CHECK_THAT(misread<sys_days>(rows[0], "day"), ContainsSubstring("in a year of"));
  CHECK_THAT(misread<fine_local>(rows[0], "t"), ContainsSubstring("in a year of"));
}

TEST_CASE("what is no time, or none that fits, says so") {
  for (const char* const text :
       {"", "2024", "2024-02", "2024-02-29x", "29.02.2024", "2024-02-29 12",
        "2024-02-29 12:00:00 PST", "2024-02-29 12:00:00+", "999999-01-01"}) {
    INFO(text);
    CHECK_FALSE(refuses<fine>(text).empty());
  }
  CHECK(refuses<system_clock::time_point>("3000-01-01 00:00:00+00").find("can hold") !=
        std::string::npos);
  CHECK(refuses<fine>("3000-01-01 00:00:00+00").empty());
}
