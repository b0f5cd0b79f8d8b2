// SPDX-License-Identifier: BSL-1.0

// Requests that are sent again.

#include <cmath>
#include <ctime>
#include <fstream>
#include <iterator>

#include "http/servers.hpp"
#include "http/slow_names.hpp"

using namespace rondo::test;
using rondo::task;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Waits that take no time worth mentioning.
http::retry_policy quickly(unsigned attempts = 3) {
  return http::retry_policy().attempts(attempts).first_delay(1ms);
}
/// A test that comes to the wait fails: there is time for it, but not for the test.
http::retry_policy never_in_time() {
  return http::retry_policy().first_delay(4min).max_delay(4min).jitter(0);
}

/// An address where nobody listens.
std::string nobody() {
  const auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  return url_of(listener);
}

task<> answers_after(std::string url, std::chrono::milliseconds time) {
  co_await rondo::sleep_for(time);
  const auto port = static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  auto listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(port));
  auto peer = co_await listener.accept();
  co_await answers(std::move(peer));
}

/// When each request came, to a peer that has an answer for none.
std::vector<rondo::time_point> came;
std::string fields;  // of the answer
task<> is_overloaded(rondo::tcp_stream peer) {
  for (;;) {
    const bool asked = co_await read_request(peer);
    if (!asked) co_return;
    came.push_back(now());
    co_await peer.write("HTTP/1.1 503 Service Unavailable\r\n" + fields +
                        "Content-Length: 0\r\n\r\n");
  }
}
int connections = 0;
task<> counts_and_says_nothing(rondo::tcp_stream peer) {
  ++connections;
  co_await says_nothing(std::move(peer));
}
task<> counts_and_hangs_up_in_the_body(rondo::tcp_stream peer) {
  ++connections;
  co_await hangs_up_in_the_body(std::move(peer));
}
task<> counts_and_talks_nonsense(rondo::tcp_stream peer) {
  ++connections;
  co_await talks_nonsense(std::move(peer));
}
task<> counts_and_resets(rondo::tcp_stream peer) {
  ++connections;
  co_await resets(std::move(peer));
}

/// The waits between the requests of one under this policy, in ms.
task<std::vector<long>> waits_of(http::retry_policy policy, std::string more = "") {
  came.clear();
  fields = std::move(more);
  http::session session(http::session_options().timeout(0s).retry(std::move(policy)));
  const auto answer = co_await session.get(start_peer(is_overloaded));
  CHECK(answer.status == 503);
  CHECK(answer.attempts == came.size());
  std::vector<long> waits;
  for (std::size_t i = 1; i < came.size(); ++i) {
    waits.push_back(static_cast<long>((came[i] - came[i - 1]) / 1ms));
  }
  co_return waits;
}

std::string date_in(std::time_t seconds) {
  const std::time_t when = std::time(nullptr) + seconds;
  std::array<char, 64> text;
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text.data();
}

}  // namespace

PYTHON_TEST("nothing is sent a second time unless that was asked for") {
  http::session session;
  const auto answer = co_await session.get(server / "flaky?times=2&status=503");
  CHECK(answer.status == 503);
  CHECK(answer.attempts == 1);
  http::session fresh;
  const auto lost = co_await error_of(fresh.get(server / "flaky?times=2"));
  CHECK(lost.kind() == http::error_kind::connection_lost);
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 2);
}

PYTHON_TEST("a request is sent again after the answers that its policy names") {
  http::session session(http::session_options().retry(quickly()));
  for (const char* const status : {"429", "502", "503", "504"}) {
    const auto url = server / "flaky?times=2&status=" + status;
    const auto answer = co_await session.get(url);
    CHECK(answer.status == 200);
    CHECK(answer.attempts == 3);
  }
  for (const char* const status : {"500", "404", "401"}) {
    const auto answer = co_await session.get(server / "flaky?times=1&status=" + status);
    CHECK(answer.attempts == 1);
    CHECK(answer.text() == "sorry");
  }
  const auto named = co_await session.send(
      get(server / "flaky?times=1&status=418").retry(quickly().on_status(418, 500)));
  CHECK(named.attempts == 2);
  const auto none =
      co_await session.send(get(server / "flaky?times=2&status=504").retry(quickly().on_status()));
  CHECK(none.attempts == 1);
}

PYTHON_TEST("a request is sent again when its connection was lost before the answer") {
  http::session session(http::session_options().retry(quickly()));
  const auto answer = co_await session.get(server / "flaky?times=2");
  CHECK(answer.status == 200);
  CHECK(answer.attempts == 3);
}

LOOP_TEST("a request is sent again when its connection was reset, or ended in the answer") {
  http::session session(http::session_options().retry(quickly()));
  for (const auto how : {counts_and_resets, counts_and_hangs_up_in_the_body}) {
    connections = 0;
    const auto error = co_await error_of(session.get(start_peer(how)));
    CHECK(error.kind() == http::error_kind::connection_lost);
    CHECK(connections == 3);
  }
}

LOOP_TEST("a request is sent again when nobody listens yet") {
  http::session session;
  const auto url = nobody();
  auto server = rondo::spawn(answers_after(url, 50ms));
  const auto answer = co_await session.send(
      get(url).retry(http::retry_policy().first_delay(100ms).jitter(0)));
  CHECK(answer.text() == "ok");
  CHECK(answer.attempts == 2);
  server.cancel();
  co_await server.wait();
}

LOOP_TEST("a request is sent again when the name of its host was not found") {
  http::session session(
      http::session_options().retry(http::retry_policy().first_delay(50ms).factor(1).jitter(0)));
  const stopwatch watch;
  const int asked = slow_name::asked();
  const auto error = co_await error_of(session.send(get("http://slow.invalid/")));
  CHECK(error.kind() == http::error_kind::name_not_resolved);
  CHECK(slow_name::asked() == asked + 3);
  CHECK(watch.elapsed() >= 100ms);  // two waits
}

LOOP_TEST("the limits for connecting and for the first byte begin anew with each attempt") {
  http::session session(http::session_options().retry(quickly(2)));
  const deaf_listener deaf;
  const stopwatch connecting;
  const auto error = co_await error_of(session.send(get(deaf.url()).connect_timeout(100ms)));
  CHECK(error.timeout() == http::timeout_kind::connect);
  CHECK(connecting.elapsed() >= 198ms);
  connections = 0;
  const stopwatch waiting;
  const auto silent = co_await error_of(
      session.send(get(start_peer(counts_and_says_nothing)).first_byte_timeout(100ms)));
  CHECK(silent.timeout() == http::timeout_kind::first_byte);
  CHECK(waiting.elapsed() >= 200ms);
  CHECK(connections == 2);
}

PYTHON_TEST("what must not be done twice is not sent again") {
  for (const char* const method : {"POST", "PATCH", "PURGE"}) {
    http::session session(http::session_options().retry(never_in_time()));
    const auto lost = co_await error_of(
        session.send(http::request(method, server / "flaky?times=9").body("x")));
    CHECK(lost.kind() == http::error_kind::connection_lost);
    const auto answer = co_await session.send(
        http::request(method, server / "flaky?times=9&status=503").body("x"));
    CHECK(answer.status == 503);
    CHECK(answer.attempts == 1);
    auto streamed = co_await session.stream(
        http::request(method, server / "flaky?times=9&status=503").body("x"));
    CHECK(streamed.status() == 503);
  }
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 9);
}

PYTHON_TEST("what a kept connection has lost is sent again if it may be done twice, and else not") {
  for (const char* const method : {"GET", "PUT", "POST", "PATCH", "PURGE"}) {
    INFO(method);
    const bool may_be = std::string_view(method) == "GET" || std::string_view(method) == "PUT";
    for (const bool has_body : {false, true}) {
      http::session session;
      static_cast<void>(co_await session.get(server / "json"));
      const auto target = "flaky?times=1&of=" + std::string(method) + (has_body ? "&body" : "");
      http::request request(method, server / target);
      if (has_body) request.body("x");
      if (may_be) {
        const auto answer = co_await session.send(request);
        CHECK(answer.status == 200);
        CHECK(answer.attempts == 1);
      } else {
        const auto lost = co_await error_of(session.send(request));
        CHECK(lost.kind() == http::error_kind::connection_lost);
        CHECK_THAT(lost.what(), ContainsSubstring("closed the connection without an answer"));
        const auto next = co_await session.send(request);  // the session is as good as before
        CHECK(next.status == 200);
      }
    }
  }
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 5 * 2 * 3);
}

NGINX_TEST("that another server speaks HTTP/2 does not matter to one that does not") {
  http::session session(http::session_options().ca_file(server.ca()));
  const auto other = co_await session.get(server.tls("protocol"));
  CHECK(other.text() == "HTTP/2.0");
  const auto kept = co_await session.get(server.old("protocol"));
  CHECK(kept.text() == "HTTP/1.1");
  const auto lost = co_await error_of(session.post(server.old("gone"), std::string("x")));
  CHECK(lost.kind() == http::error_kind::connection_lost);
  co_await until([&] { return server.gone() != 0; });
  CHECK(server.gone() == 1);
}

PYTHON_TEST("what may be done twice is sent again, with its body and its fields") {
  http::session session(http::session_options().retry(quickly()));
  int n = 0;
  for (const char* const method : {"PUT", "DELETE", "OPTIONS", "GET"}) {
    const auto target = "flaky?times=2&status=503&n=" + std::to_string(++n);
    const auto answer =
        co_await session.send(http::request(method, server / target).body("the body"));
    CHECK(answer.text() == "the body");
    CHECK(answer.attempts == 3);
  }
  const auto head = co_await session.head(server / "flaky?times=1&status=503&n=head");
  CHECK(head.status == 200);
  CHECK(head.attempts == 2);
  const auto inspected = co_await session.send(
      http::request("PUT", server / "inspect").header("X-Test", "yes").body("a"));
  CHECK_THAT(inspected.text(), ContainsSubstring("X-Test"));
}

PYTHON_TEST("a body that is produced while it is sent is not sent again") {
  const auto parts = []() -> rondo::async_generator<std::string> { co_yield std::string("x"); };
  http::session session(http::session_options().retry(never_in_time()));
  const auto answer = co_await session.send(
      http::request("PUT", server / "flaky?times=9&status=503").body(parts()));
  CHECK(answer.status == 503);
  CHECK(answer.attempts == 1);
  auto streamed = co_await session.stream(
      http::request("PUT", server / "flaky?times=9&status=503").body(parts()));
  CHECK(streamed.status() == 503);
}

PYTHON_TEST("the last attempt counts: its answer, or its error") {
  http::session session(http::session_options().retry(quickly(2)));
  const auto answer = co_await session.get(server / "flaky?times=9&status=503");
  CHECK(answer.status == 503);
  CHECK(answer.text() == "sorry");
  CHECK(answer.attempts == 2);
  http::session fresh(http::session_options().retry(quickly(2)));
  const auto error = co_await error_of(fresh.get(server / "flaky?times=9"));
  CHECK(error.kind() == http::error_kind::connection_lost);
  CHECK(error.url() == server / "flaky?times=9");
  const auto stats = co_await stats_of(server);
  CHECK(stats.requests.size() == 4);
}

NGINX_TEST("what is wrong the next time, too, is not sent again: a certificate") {
  http::session session(http::session_options().retry(never_in_time()));
  const auto untrusted = co_await error_of(session.get(server.tls("json")));
  CHECK(untrusted.kind() == http::error_kind::tls);
}

LOOP_TEST("what is wrong the next time, too, is not sent again: a URL, and no HTTP") {
  http::session session(http::session_options().retry(never_in_time()));
  const auto url = co_await error_of(session.get("gopher://localhost/"));
  CHECK(url.kind() == http::error_kind::invalid_url);
  connections = 0;
  const auto nonsense = co_await error_of(session.get(start_peer(counts_and_talks_nonsense)));
  CHECK(nonsense.kind() == http::error_kind::protocol);
  CHECK(connections == 1);
}

VIRTUAL_TEST("the waits grow by a factor, up to the longest") {
  using waits = std::vector<long>;
  const auto usual = co_await waits_of(http::retry_policy().jitter(0));
  CHECK((usual == waits{100, 200}));
  const auto policy =
      http::retry_policy().attempts(6).first_delay(1s).factor(3).max_delay(10s).jitter(0);
  const auto longer = co_await waits_of(policy);
  CHECK((longer == waits{1000, 3000, 9000, 10000, 10000}));
  const auto short_ones =
      co_await waits_of(http::retry_policy().max_delay(10ms).jitter(0));
  CHECK((short_ones == waits{10, 10}));
  const auto none = co_await waits_of(http::retry_policy().attempts(0));
  CHECK(none.empty());
}

VIRTUAL_TEST("chance takes its share of each wait, and repeats itself if it has the same seed") {
  const auto policy = http::retry_policy().attempts(20).first_delay(1000s).max_delay(1000s);
  const auto first = co_await waits_of(http::retry_policy(policy).seed(1));
  const auto again = co_await waits_of(http::retry_policy(policy).seed(1));
  const auto other = co_await waits_of(http::retry_policy(policy).seed(2));
  const auto chance = co_await waits_of(policy);
  const auto once_more = co_await waits_of(policy);
  CHECK((first == again));
  CHECK((first != other));
  CHECK((chance != once_more));
  const auto [least, most] = std::minmax_element(chance.begin(), chance.end());
  CHECK(*least >= 500'000);
  CHECK(*most <= 1'000'000);
  CHECK(*most - *least > 100'000);
  const auto all = co_await waits_of(http::retry_policy(policy).jitter(1).seed(1));
  CHECK(*std::min_element(all.begin(), all.end()) < 300'000);
}

VIRTUAL_TEST("Retry-After makes a wait longer: seconds, or a date") {
  using waits = std::vector<long>;
  const auto policy = http::retry_policy().attempts(2).jitter(0).max_delay(2h);
  const auto seconds = co_await waits_of(policy, "Retry-After: 7\r\n");
  CHECK((seconds == waits{7000}));
  const auto date = co_await waits_of(policy, "Retry-After: " + date_in(3600) + "\r\n");
  REQUIRE(date.size() == 1);
  CHECK(std::abs(date[0] - 3'600'000) <= 2000);
  for (const std::string& value : {std::string("0"), std::string("-5"), std::string("soon"),
                                   date_in(-3600)}) {
    const auto nothing = co_await waits_of(policy, "Retry-After: " + value + "\r\n");
    CHECK((nothing == waits{100}));
  }
  const auto less = co_await waits_of(http::retry_policy(policy).first_delay(10s),
                                      "Retry-After: 1\r\n");
  CHECK((less == waits{10'000}));
}

VIRTUAL_TEST("a server that wants to be left alone for longer than the longest wait is") {
  const auto policy = http::retry_policy().max_delay(10s);
  for (const std::string& value :
       {std::string("11"), std::string("99999999999999999999999"), date_in(60)}) {
    const auto waits = co_await waits_of(policy, "Retry-After: " + value + "\r\n");
    CHECK(waits.empty());
    CHECK(came.size() == 1);
  }
}

VIRTUAL_TEST("a wait is canceled at once") {
  came.clear();
  fields.clear();
  const auto policy = http::retry_policy().first_delay(1h).max_delay(1h).jitter(0);
  http::session session(http::session_options().timeout(0s).retry(policy));
  const auto url = start_peer(is_overloaded);
  for (const bool streamed : {false, true}) {
    const auto begin = now();
    std::error_code code;
    if (streamed) {
      code = co_await code_of(rondo::with_timeout(10min, session.stream(get(url))));
    } else {
      code = co_await code_of(rondo::with_timeout(10min, session.get(url)));
    }
    CHECK(code == std::errc::timed_out);
    CHECK(now() - begin == 10min);
  }
  co_await rondo::sleep_for(2h);
  CHECK(came.size() == 2);
  auto handle = rondo::spawn(code_of(session.get(url)));
  co_await until([] { return came.size() == 3; });
  co_await rondo::sleep_for(1min);
  CHECK_FALSE(handle.done());
  handle.cancel();
  co_await handle.wait();
  CHECK(came.size() == 3);
}

LOOP_TEST("timeout is for all attempts together") {
  connections = 0;
  http::session session;
  const auto url = start_peer(counts_and_says_nothing);
  for (const bool streamed : {false, true}) {
    connections = 0;
    auto request = get(url).first_byte_timeout(300ms).timeout(500ms).retry(quickly(100));
    const stopwatch watch;  // without a limit for all of them: 30 s
    std::optional<http::error> error;
    if (streamed) {
      error = co_await error_of(session.stream(std::move(request)));
    } else {
      error = co_await error_of(session.send(std::move(request)));
    }
    CHECK(error->timeout() == http::timeout_kind::total);
    CHECK(std::string(error->what()) == "GET " + url + ": not complete within 500 ms");
    CHECK(watch.elapsed() >= 500ms);
    CHECK(watch.elapsed() < at_most(5s));
    CHECK(connections >= 1);
    CHECK(connections <= 2);
  }
}

LOOP_TEST("a wait for which there is no time is not begun") {
  http::session session;
  came.clear();
  fields.clear();
  const auto url = start_peer(is_overloaded);
  const stopwatch watch;
  const auto answer =
      co_await session.send(get(url).timeout(5s).retry(never_in_time()));
  CHECK(answer.status == 503);
  const auto error = co_await error_of(
      session.send(get(nobody()).timeout(5s).retry(never_in_time())));
  CHECK(error.kind() == http::error_kind::connection_refused);
  CHECK(watch.elapsed() < at_most(2s));
}

PYTHON_TEST("a stream and a download are repeated until there is an answer that counts") {
  const temporary_folder folder;
  http::session session(http::session_options().retry(quickly()));
  auto streamed = co_await session.stream(
      http::request("PUT", server / "flaky?times=2&status=503").body("the body"));
  CHECK(streamed.status() == 200);
  CHECK(streamed.attempts() == 3);
  std::string text(100, '\0');
  const std::size_t n = co_await streamed.read(text);
  CHECK(text.substr(0, n) == "the body");
  const auto saved = co_await session.download(
      http::request("PUT", server / "flaky?times=2").body("the file"), folder / "f");
  CHECK(saved == 8);
  auto last = co_await session.stream(get(server / "flaky?times=9&status=503"));
  CHECK(last.status() == 503);
  CHECK(last.attempts() == 3);
  const std::size_t m = co_await last.read(text);
  CHECK(text.substr(0, m) == "sorry");
  const auto error = co_await error_of(
      session.download(server / "flaky?times=9&status=502", folder / "g"));
  CHECK(error.status() == 502);
  CHECK_FALSE(std::filesystem::exists(folder / "g"));
}

LOOP_TEST("a stream whose body was begun is not repeated") {
  connections = 0;
  http::session session(http::session_options().retry(never_in_time()));
  auto answer = co_await session.stream(get(start_peer(counts_and_hangs_up_in_the_body)));
  std::string text(100, '\0');
  const std::size_t n = co_await answer.read(text);
  CHECK(text.substr(0, n) == "the beginning");
  const auto error = co_await error_of(answer.read(text));
  CHECK(error.kind() == http::error_kind::connection_lost);
  CHECK(connections == 1);
}

PYTHON_TEST("the policy of a request replaces that of its session, and may be none") {
  http::session session(http::session_options().retry(quickly(5)));
  const auto two = co_await session.send(
      get(server / "flaky?times=9&status=503").retry(quickly(2)));
  CHECK(two.attempts == 2);
  const auto one = co_await session.send(
      get(server / "flaky?times=9&status=503").retry(http::retry_policy().attempts(1)));
  CHECK(one.attempts == 1);
  const auto five = co_await session.get(server / "flaky?times=9&status=503");
  CHECK(five.attempts == 5);
}

PYTHON_TEST("a request that may be repeated can be sent several times, and in a combinator") {
  http::session session;
  const auto request = get(server / "flaky?times=4&status=503").retry(quickly(4));
  const auto [a, b] = co_await rondo::when_all(session.send(request), session.send(request));
  CHECK(a.ok());
  CHECK(b.ok());
  CHECK(a.attempts + b.attempts == 6);
}

TEST_CASE("a retry_policy refuses what makes no sense") {
  CHECK_THROWS_AS(http::retry_policy().factor(0.5), std::invalid_argument);
  CHECK_THROWS_AS(http::retry_policy().factor(std::nan("")), std::invalid_argument);
  CHECK_THROWS_AS(http::retry_policy().jitter(-0.1), std::invalid_argument);
  CHECK_THROWS_AS(http::retry_policy().jitter(1.1), std::invalid_argument);
}

#ifndef NDEBUG
TEST_CASE("a session that is destroyed while a request waits for its next attempt is named") {
  const auto printed = stderr_of([] {
    rondo::run([]() -> task<> {
      auto session = std::make_unique<http::session>();
      const auto policy = http::retry_policy().first_delay(1h).max_delay(1h);
      auto asking = rondo::spawn(code_of(session->send(get(nobody()).timeout(0s).retry(policy))));
      co_await rondo::sleep_for(100ms);
      session.reset();
    }());
    return 0;
  });
  CHECK(killed_by(printed.status, SIGABRT));
  CHECK_THAT(printed.text, ContainsSubstring("destroyed before its requests had ended"));
}
#endif
