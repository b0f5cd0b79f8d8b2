// SPDX-License-Identifier: BSL-1.0

#include "http/servers.hpp"
#include "http/slow_names.hpp"
#include "support/heap.hpp"

using namespace rondo::test;

namespace {

rondo::task<> get_in_vain(http::session& session, std::string url) {
  static_cast<void>(co_await session.get(std::move(url)));
}

rondo::task<> fails_after(std::chrono::milliseconds time) {
  co_await rondo::sleep_for(time);
  throw std::runtime_error("the sibling");
}

enum class way_to_give_up { a_timeout, the_failure_of_a_sibling, its_handle };

rondo::task<> give_up(http::session& session, std::string url, way_to_give_up way) {
  switch (way) {
    case way_to_give_up::a_timeout: {
      const auto code = co_await code_of(rondo::with_timeout(20ms, session.get(url)));
      CHECK(code == std::errc::timed_out);
      break;
    }
    case way_to_give_up::the_failure_of_a_sibling: {
      const auto words = co_await words_of(rondo::when_all(session.get(url), fails_after(20ms)));
      CHECK(words == "the sibling");
      break;
    }
    case way_to_give_up::its_handle: {
      auto handle = rondo::spawn(get_in_vain(session, url));
      co_await rondo::sleep_for(20ms);
      CHECK_FALSE(handle.done());
      handle.cancel();
      co_await handle.wait();
      break;
    }
  }
}

/// Requests to this URL never end. Each way to give one up is taken at once, leaves the session
/// usable, and leaves nothing behind.
rondo::task<> can_be_given_up(std::string url, std::optional<slow_name>* blocked = nullptr) {
  const auto good = start_peer(answers);
  const auto before = rondo_test::open_descriptors();
  for (const auto way : {way_to_give_up::a_timeout, way_to_give_up::the_failure_of_a_sibling,
                         way_to_give_up::its_handle}) {
    http::session session;
    co_await give_up(session, url, way);  // the first of TLS reads the system's certificates
    for (int i = 0; i < 3; ++i) {
      const stopwatch watch;
      co_await give_up(session, url, way);
      const auto took = watch.elapsed();
      CHECK(took >= 20ms);
      CHECK(took < at_most(150ms));
      const auto answer = co_await session.get(good);
      CHECK(answer.text() == "ok");
    }
  }
  if (blocked != nullptr)
    blocked->reset();  // the thread that looks it up holds a socket until then
  const bool closed = co_await descriptors_return_to(before);
  CHECK(closed);
}

}  // namespace

LOOP_TEST("a request is given up while its name is looked up") {
  std::optional<slow_name> blocked(std::in_place);
  co_await can_be_given_up("http://slow.invalid/", &blocked);
}

LOOP_TEST("a request is given up while it connects") {
  const deaf_listener deaf;
  co_await can_be_given_up(deaf.url());
}

LOOP_TEST("a request is given up in the handshake of TLS") {
  co_await can_be_given_up("https" + start_peer(says_nothing).substr(4));
}

LOOP_TEST("a request is given up while it waits for the answer") {
  co_await can_be_given_up(start_peer(says_nothing));
}

LOOP_TEST("a request is given up in the middle of the body") {
  co_await can_be_given_up(start_peer(begins_an_answer));
}

LOOP_TEST("a request is given up while its body is sent") {
  const auto url = start_peer([](rondo::tcp_stream peer) -> rondo::task<> {
    co_await rondo::sleep_for(1h);  // reads nothing
    static_cast<void>(peer);
  });
  http::session session;
  for (int i = 0; i < 3; ++i) {
    const auto code = co_await code_of(
        rondo::with_timeout(20ms, session.post(url, std::string(20'000'000, 'x'))));
    CHECK(code == std::errc::timed_out);
  }
}

LOOP_TEST("the server sees at once that a request was given up") {
  static bool seen;
  seen = false;
  const auto url = start_peer([](rondo::tcp_stream peer) -> rondo::task<> {
    static_cast<void>(co_await read_request(peer));
    co_await until_the_peer_ends(peer);
    seen = true;
  });
  http::session session;
  static_cast<void>(co_await code_of(rondo::with_timeout(20ms, session.get(url))));
  const stopwatch watch;
  co_await until([] { return seen; });
  CHECK(watch.elapsed() < at_most(100ms));
}

LOOP_TEST("in a canceled scope nothing reaches the server") {
  rondo::tcp_listener listener = rondo::tcp_listener::bind(rondo::endpoint::loopback(0));
  http::session session;
  const auto url = url_of(listener);
  int refused = 0;
  const auto body = [](http::session& s, std::string to, int& count) -> rondo::task<> {
    try {
      co_await rondo::sleep_for(1h);
    } catch (const rondo::operation_canceled&) {
    }
    for (int i = 0; i < 3; ++i) {
      try {
        static_cast<void>(co_await s.get(to));
      } catch (const rondo::operation_canceled&) {
        ++count;
      }
    }
  };
  static_cast<void>(co_await code_of(rondo::with_timeout(1ms, body(session, url, refused))));
  CHECK(refused == 3);
  const auto code = co_await code_of(rondo::with_timeout(20ms, listener.accept()));
  CHECK(code == std::errc::timed_out);
}

PYTHON_TEST("an answer that races with its cancellation is either there or given up") {
  http::session session;
  const auto before = rondo_test::open_descriptors();
  int answers_seen = 0;
  int given_up = 0;
  for (int i = 0; i < 300; ++i) {
    const auto limit = std::chrono::microseconds(i * 10);
    try {
      const auto answer =
          co_await rondo::with_timeout(limit, session.get(server / "bytes?n=20000"));
      if (answer.text().size() != 20'000) FAIL("an answer that is not whole");
      ++answers_seen;
    } catch (const rondo::timeout_error&) {
      ++given_up;
    }
  }
  CHECK(answers_seen + given_up == 300);
  CHECK(given_up > 0);
  const auto answer = co_await session.get(server / "json");
  CHECK(answer.status == 200);
  const bool closed = co_await descriptors_return_to(before + 1);
  CHECK(closed);
}

PYTHON_TEST("100 requests are given up together") {
  http::session session;
  const auto before = rondo_test::open_descriptors();
  for (int round = 0; round < 5; ++round) {
    std::vector<rondo::task<>> requests;
    for (int i = 0; i < 100; ++i) requests.push_back(get_in_vain(session, server / "slow?ms=3000"));
    const auto code =
        co_await code_of(rondo::with_timeout(round * 10ms, rondo::when_all(std::move(requests))));
    CHECK(code == std::errc::timed_out);
    CHECK(rondo_test::open_descriptors() <= before + 100);
  }
  const bool closed = co_await descriptors_return_to(before);
  CHECK(closed);
  const auto answer = co_await session.get(server / "json");
  CHECK(answer.status == 200);
}

LOOP_TEST("giving up requests again and again keeps nothing on the heap") {
  const auto silent = start_peer(says_nothing);
  const auto partly = start_peer(begins_an_answer);
  http::session session;
  const auto round = [&]() -> rondo::task<> {
    static_cast<void>(co_await code_of(rondo::with_timeout(
        5ms, rondo::when_all(session.get(silent), session.get(partly), session.get(silent)))));
    co_await rondo::sleep_for(5ms);  // the peers see it
  };
  for (int i = 0; i < 10; ++i) co_await round();
  const auto before = rondo_test::live_blocks();
  for (int i = 0; i < 50; ++i) co_await round();
  const auto after = rondo_test::live_blocks();
  CHECK(after <= before + 5);
}

TEST_CASE("a session may go while a look-up that was given up is still on its way") {
  const slow_name blocked;
  const auto body = []() -> rondo::task<> {
    http::session session;
    static_cast<void>(
        co_await code_of(rondo::with_timeout(20ms, session.get("http://slow.invalid/"))));
    CHECK(slow_name::waiting() == 1);
  };
  const stopwatch watch;
  rondo::run(body());
  CHECK(watch.elapsed() < at_most(200ms));
  CHECK(slow_name::waiting() == 1);
}
