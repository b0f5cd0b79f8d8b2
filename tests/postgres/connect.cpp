// SPDX-License-Identifier: BSL-1.0

#include <rondo/postgres/connect.hpp>

#include "http/slow_names.hpp"
#include "postgres/servers.hpp"

using namespace rondo::test;
using rondo::task;

POSTGRES_TEST("a host is found by its name, and by an URL") {
  auto by_name = co_await postgres::connect("host=localhost port=" + server.port() +
                                            " user=postgres dbname=postgres");
  auto by_url =
      co_await postgres::connect("postgresql://postgres@localhost:" + server.port() + "/postgres");
  CHECK(by_name.is_open());
  CHECK(by_url.is_open());
}

POSTGRES_TEST("of several hosts the first that answers counts") {
  auto c = co_await postgres::connect("host=nowhere.invalid,127.0.0.1,localhost port=1,1," +
                                      server.port() + " user=postgres dbname=postgres");
  CHECK(c.is_open());
}

POSTGRES_TEST("a password is accepted, and a wrong one is not") {
  const std::string guarded =
      "host=127.0.0.1 port=" + server.port() + " user=guarded dbname=postgres";
  auto c = co_await postgres::connect(guarded + " password=secret");
  const auto rows = co_await c.query("select current_user");
  CHECK(rows[0].get<std::string>(0) == "guarded");
  const auto e = co_await error_of(postgres::connect(guarded + " password=guessed"));
  CHECK(e.kind() == postgres::error_kind::connect_failed);
  CHECK(e.sqlstate() == postgres::sqlstate::invalid_password);
  CHECK(std::string(e.what()).ends_with(
      "FATAL: password authentication failed for user \"guarded\" (28P01)"));
  CHECK(std::string(e.what()).find("guessed") == std::string::npos);
}

POSTGRES_TEST("what cannot be connected to is named, in one line") {
  const auto refused = co_await error_of(postgres::connect("host=127.0.0.1 port=1 user=me"));
  CHECK(refused.kind() == postgres::error_kind::connect_failed);
  CHECK(refused.sqlstate() == postgres::sqlstate::not_connected);
  CHECK(refused.code() == std::errc::connection_refused);
  const std::string text = refused.what();
  CHECK(text.find("127.0.0.1") != text.npos);
  CHECK(text.find('\n') == text.npos);
  const auto unknown = co_await error_of(postgres::connect("host=nowhere.invalid"));
  CHECK(std::string(unknown.what()).find("nowhere.invalid") != std::string::npos);
  const auto nonsense = co_await error_of(postgres::connect("this is no conninfo"));
  CHECK(nonsense.kind() == postgres::error_kind::connect_failed);
  const auto missing = co_await error_of(postgres::connect(server.conninfo() + " dbname=missing"));
  CHECK(missing.kind() == postgres::error_kind::connect_failed);
  CHECK(missing.sqlstate() == postgres::sqlstate::invalid_catalog_name);
  CHECK(std::string(missing.what()).ends_with("FATAL: database \"missing\" does not exist (3D000)"));
}

POSTGRES_TEST("every attempt that fails or is canceled leaves no descriptor") {
  static_cast<void>(co_await error_of(postgres::connect("host=nowhere.invalid")));  // threads
  const auto before = co_await descriptors_at_rest();
  static_cast<void>(co_await error_of(postgres::connect("host=127.0.0.1 port=1 user=me")));
  CHECK(rondo_test::open_descriptors() == before);
  for (int i = 0; i < 40; ++i) {
    auto connecting = rondo::spawn(postgres::connect(server.conninfo()));
    co_await rondo::sleep_for(std::chrono::microseconds(i * 200));
    connecting.cancel();
    const auto code = co_await code_of(std::move(connecting));
    CHECK((!code || code == rondo::errc::canceled));
    CHECK(rondo_test::open_descriptors() == before);
  }
}

POSTGRES_TEST("a server that accepts and says nothing: canceled, and limited by connect_timeout") {
  rondo::tcp_listener deaf = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const std::string to =
      "host=127.0.0.1 user=me port=" + std::to_string(deaf.local_endpoint().port());
  const auto before = co_await descriptors_at_rest();
  const auto timed = co_await code_of(rondo::with_timeout(20ms, postgres::connect(to)));
  CHECK(timed == std::errc::timed_out);
  const stopwatch since;
  const auto e = co_await error_of(postgres::connect(to + " connect_timeout=1"));
  CHECK(e.kind() == postgres::error_kind::connect_failed);
  CHECK(std::string(e.what()).find("connect_timeout") != std::string::npos);
  CHECK(since.elapsed() >= 2s);  // libpq's own least
  CHECK(since.elapsed() < at_most(4s));
  CHECK(rondo_test::open_descriptors() == before);
}

POSTGRES_TEST("a server that hangs up, and one that talks nonsense") {
  rondo::tcp_listener listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  const std::string to =
      "host=127.0.0.1 user=me port=" + std::to_string(listener.local_endpoint().port());
  auto hangs_up = [](rondo::tcp_listener& l) -> task<> { co_await l.accept(); };
  auto nonsense = [](rondo::tcp_listener& l) -> task<> {
    for (int i = 0; i < 2; ++i) {  // libpq asks for TLS first
      auto peer = co_await l.accept();
      char space[1000];
      static_cast<void>(co_await peer.read(space));
      co_await peer.write("220 mail.example ESMTP ready\r\n");
    }
  };
  const auto one = co_await rondo::when_all(error_of(postgres::connect(to + " sslmode=disable")),
                                            hangs_up(listener));
  CHECK(std::get<0>(one).kind() == postgres::error_kind::connect_failed);
  auto speaking = rondo::spawn(nonsense(listener));
  const auto two = co_await error_of(postgres::connect(to));
  CHECK(two.kind() == postgres::error_kind::connect_failed);
  speaking.cancel();
  co_await speaking.wait();
}

POSTGRES_TEST("the server's style of dates is set to the one that is read") {
  auto c = co_await postgres::connect(server.conninfo() + " options='-c datestyle=german'");
  const auto rows = co_await c.query("select '2024-02-29'::date");
  CHECK(rows[0].get<std::string>(0) == "2024-02-29");
}

POSTGRES_TEST("in a canceled task nobody is connected to") {
  auto connecting = rondo::spawn(postgres::connect(server.conninfo()));
  connecting.cancel();
  const auto code = co_await code_of(std::move(connecting));
  CHECK(code == rondo::errc::canceled);
}

POSTGRES_TEST(
    "while a name is looked up the loop goes on, and a cancellation waits for the look-up") {
  std::optional<slow_name> blocked(std::in_place);
  auto connecting = rondo::spawn(postgres::connect("host=slow.invalid user=me"));
  while (slow_name::waiting() == 0) co_await rondo::sleep_for(1ms);
  const auto rows = co_await [](std::string to) -> task<postgres::rows> {
    auto c = co_await postgres::connect(std::move(to));
    co_return co_await c.query("select 1");
  }(server.conninfo());
  CHECK(rows.size() == 1);
  connecting.cancel();
  co_await rondo::sleep_for(5ms);
  CHECK_FALSE(connecting.done());
  blocked.reset();
  const auto code = co_await code_of(std::move(connecting));
  CHECK((code == rondo::errc::canceled || code == postgres::error_kind::connect_failed));
}

POSTGRES_TEST("over TLS: large answers and arguments, a pipeline, and a cancellation") {
  auto c = co_await postgres::connect(server.tls() + " sslmode=require");
  CHECK(PQsslInUse(c.native_handle()) == 1);
  for (const int size : {1, 8'000, 16'000, 20'000, 100'000, 10'000'000}) {
    const std::string text(static_cast<std::size_t>(size), 'x');
    const auto rows = co_await c.query("select $1::text", text);
    CHECK(rows[0].get<std::string_view>(0) == text);
  }
  const auto many = co_await c.query("select repeat('x', g) from generate_series(1, 5000) g");
  CHECK(many.size() == 5000);
  {
    auto p = co_await c.pipeline();
    for (int i = 0; i < 2000; ++i) p.query("select repeat('x', $1)", i);
    const auto all = co_await p.finish();
    CHECK(all.size() == 2000);
  }
  const auto late = co_await rondo::try_for(20ms, c.query("select pg_sleep(1000)"));
  CHECK_FALSE(late);
  CHECK(c.is_idle());
}
