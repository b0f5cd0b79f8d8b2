// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/connect.hpp>

#include <poll.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace std::chrono_literals;
using namespace rondo::test;
using Catch::Matchers::ContainsSubstring;
using rondo::connect;
using rondo::endpoint;
using rondo::task;
using rondo::tcp_listener;
using rondo::tcp_stream;

namespace {

/// An endpoint that never answers: a listener whose queue is full, so that the kernel drops what
/// wants to connect.
class silent {
 public:
  silent() : listener_(tcp_listener::bind(endpoint::loopback(0), {.backlog = 0})) {
    for (int i = 0; i < 8; ++i) {
      fillers_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      ::connect(fillers_.back().native_handle(), at().native(), at().native_size());
    }
  }
  [[nodiscard]] endpoint at() const { return listener_.local_endpoint(); }
  /// From now on there is room.
  void answer() {
    for (const auto& filler : fillers_) {
      pollfd connected{filler.native_handle(), POLLOUT, 0};
      if (::poll(&connected, 1, 0) == 1) {
        accepted_.emplace_back(::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
      }
    }
    fillers_.clear();
  }

 private:
  tcp_listener listener_;
  std::vector<rondo::descriptor> fillers_;
  std::vector<rondo::descriptor> accepted_;
};

/// GCC 12 takes no braces for a vector inside a co_await expression.
template <typename... E>
std::vector<endpoint> list(E... all) {
  return {all...};
}

endpoint nobody() { return tcp_listener::bind(endpoint::loopback(0)).local_endpoint(); }

}  // namespace

// Several candidates

VIRTUAL_TEST("the next candidate is tried a quarter of a second later, and may win") {
  const silent first;
  const silent second;
  tcp_listener third = tcp_listener::bind(endpoint::loopback(0));
  const auto before = rondo_test::open_descriptors();
  {
    const auto start = now();
    const tcp_stream s = co_await connect(list(first.at(), second.at(), third.local_endpoint()));
    CHECK(now() - start == 500ms);
    CHECK(s.remote_endpoint() == third.local_endpoint());
    CHECK(rondo_test::open_descriptors() == before + 1);  // the losers are closed
  }
  CHECK(rondo_test::open_descriptors() == before);
}

VIRTUAL_TEST("a candidate that fails is followed by the next one at once") {
  tcp_listener last = tcp_listener::bind(endpoint::loopback(0));
  const auto start = now();
  const tcp_stream s = co_await connect(list(nobody(), nobody(), last.local_endpoint()));
  CHECK(now() == start);
  CHECK(s.remote_endpoint() == last.local_endpoint());
}

VIRTUAL_TEST("a candidate that answers at once is the only one that is asked") {
  tcp_listener first = tcp_listener::bind(endpoint::loopback(0));
  tcp_listener second = tcp_listener::bind(endpoint::loopback(0));
  const tcp_stream s = co_await connect(list(first.local_endpoint(), second.local_endpoint()));
  CHECK(s.remote_endpoint() == first.local_endpoint());
  const auto asked = co_await rondo::try_for(1s, second.accept());
  CHECK_FALSE(asked);
}

LOOP_TEST("an early candidate may win while later ones are being tried") {
  silent first;
  const silent second;
  const endpoint early = first.at();
  auto connecting = rondo::spawn(connect(list(early, second.at())));
  co_await rondo::sleep_for(300ms);  // by then both are being asked
  CHECK_FALSE(connecting.done());
  first.answer();  // to what the kernel asks again, a second after it has asked first
  const tcp_stream s = co_await connecting;
  CHECK(s.remote_endpoint() == early);
}

LOOP_TEST("when all fail, the error of the last is thrown, and it names its endpoint") {
  const endpoint last = nobody();
  const auto before = rondo_test::open_descriptors();
  const std::string words = co_await words_of(connect(list(nobody(), nobody(), last)));
  CHECK(words == "connect to " + to_string(last) + ": " +
                     std::system_category().message(ECONNREFUSED));
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("without candidates there is nothing to try") {
  try {
    static_cast<void>(co_await connect(std::vector<endpoint>()));
    FAIL("connected to nowhere");
  } catch (const std::invalid_argument&) {
  }
}

TEST_CASE("families take turns, and within a family the order stays") {
  const endpoint a("10.0.0.1", 1), b("10.0.0.2", 1), c("10.0.0.3", 1);
  const endpoint x("2001:db8::1", 1), y("2001:db8::2", 1);
  const auto turns = [](std::vector<endpoint> all) {
    rondo::detail::take_families_in_turn(all);
    return all;
  };
  CHECK(turns({x, y, a, b, c}) == std::vector<endpoint>{x, a, y, b, c});
  CHECK(turns({a, b, c, x}) == std::vector<endpoint>{a, x, b, c});
  CHECK(turns({a, b}) == std::vector<endpoint>{a, b});
  CHECK(turns({x}) == std::vector<endpoint>{x});
}

VIRTUAL_TEST("canceled at any moment, all attempts are given up and nothing stays open") {
  const silent first;
  const silent second;
  const auto before = rondo_test::open_descriptors();
  for (const auto limit : {0ms, 1ms, 249ms, 250ms, 251ms, 499ms, 2000ms}) {
    const std::error_code code =
        co_await code_of(rondo::with_timeout(limit, connect(list(first.at(), second.at()))));
    CHECK(code == std::errc::timed_out);
    CHECK(rondo_test::open_descriptors() == before);
  }
}

LOOP_TEST("canceled just as a candidate answers, the connection is delivered or closed") {
  const auto before = rondo_test::open_descriptors();
  {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    for (int turns = 0; turns < 12; ++turns) {
      auto connecting = rondo::spawn(
          [](endpoint bad, endpoint good) -> task<tcp_stream> {
            co_return co_await connect(list(bad, good));
          },
          nobody(), listener.local_endpoint());
      for (int i = 0; i < turns; ++i) co_await rondo::yield();
      connecting.cancel();
      try {
        static_cast<void>(co_await connecting);
      } catch (const rondo::operation_canceled&) {
      }
    }
  }
  CHECK(rondo_test::open_descriptors() == before);
}

// By name

LOOP_TEST("connect by name connects to the first endpoint that answers") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const std::uint16_t port = listener.local_endpoint().port();
  // Where localhost is ::1 first, nobody answers there.
  auto ends = co_await rondo::when_all(rondo::connect("localhost", port), listener.accept());
  co_await std::get<0>(ends).write("by name");
  std::string received(7, '\0');
  co_await std::get<1>(ends).read_exactly(received);
  CHECK(received == "by name");
  auto numeric = co_await rondo::when_all(rondo::connect("127.0.0.1", port), listener.accept());
  CHECK(std::get<0>(numeric).remote_endpoint() == listener.local_endpoint());
}

LOOP_TEST("connect by name where nobody listens gives the last error, which names an endpoint") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const std::uint16_t port = listener.local_endpoint().port();
  co_await listener.close();
  const auto before = rondo_test::open_descriptors();
  const std::string words = co_await words_of(rondo::connect("localhost", port));
  CHECK_THAT(words, ContainsSubstring("connect to "));
  CHECK_THAT(words, ContainsSubstring(":" + std::to_string(port)));
  const std::error_code code = co_await code_of(rondo::connect("127.0.0.1", port));
  CHECK(code == std::errc::connection_refused);
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("connect to a host that does not exist is an error that names it") {
  const std::string words = co_await words_of(rondo::connect("no-such-host.invalid", 80));
  CHECK_THAT(words, ContainsSubstring("resolve no-such-host.invalid: "));
}

LOOP_TEST("connect in a canceled scope opens nothing, with a name and with an address") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const std::uint16_t port = listener.local_endpoint().port();
  const auto before = rondo_test::open_descriptors();
  for (const char* host : {"localhost", "127.0.0.1"}) {
    auto connecting = rondo::spawn(code_of(rondo::connect(host, port)));
    connecting.cancel();
    const std::error_code code = co_await connecting;
    CHECK(code == rondo::errc::canceled);
  }
  CHECK(rondo_test::open_descriptors() == before);
}
