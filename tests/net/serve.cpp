// SPDX-License-Identifier: BSL-1.0

#include <rondo/net/serve.hpp>

#include <sys/resource.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <rondo/compose/finally.hpp>
#include <rondo/compose/with_context.hpp>
#include <rondo/net/tcp.hpp>
#include <rondo/net/unix.hpp>
#include <rondo/testing.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "net/peers.hpp"
#include "support/descriptors.hpp"
#include "support/loop_test.hpp"

using namespace rondo;
using namespace rondo::test;
using namespace std::chrono_literals;

namespace {

task<> echo(tcp_stream peer) {
  std::array<char, 256> bytes;
  for (;;) {
    const std::size_t n = co_await peer.read(bytes);
    if (n == 0) co_return;
    co_await peer.write(std::string_view(bytes.data(), n));
  }
}

/// Ends a service before its listener goes.
task<> ended(join_handle<>& service) {
  service.cancel();
  co_await service.wait();
}

task<std::string> ask(tcp_stream& s, std::string question) {
  co_await s.write(question);
  std::string answer(question.size(), '\0');
  co_await s.read_exactly(answer);
  co_return answer;
}
task<std::string> ask_once(endpoint at, std::string question) {
  tcp_stream s = co_await tcp_stream::connect(at);
  co_return co_await ask(s, std::move(question));
}

/// How many handlers are at work, and how they ended.
struct census {
  int begun = 0;
  int alive = 0;
  int ended = 0;
  int canceled = 0;
};
class counted {
 public:
  explicit counted(census& c) : census_(&c) {
    ++c.begun;
    ++c.alive;
  }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --census_->alive; }

 private:
  census* census_;
};
/// Goes on until the peer has gone, or for so long.
task<> count_and_wait(tcp_stream peer, census& c, std::chrono::seconds longest) {
  const counted here(c);
  char byte = 0;
  try {
    static_cast<void>(co_await try_for(longest, peer.read(mutable_buffer(&byte, 1))));
    ++c.ended;
  } catch (const operation_canceled&) {
    ++c.canceled;
    throw;
  }
}

/// What goes to on_unhandled.
struct reports {
  std::vector<std::string> all;
  loop_options options() {
    loop_options o;
    o.on_unhandled = [this](const unhandled_error& e) {
      all.push_back(std::string(e.name) + ": " + e.message);
    };
    return o;
  }
};

}  // namespace

LOOP_TEST("serve runs a handler for each connection until it is canceled") {
  const auto before = rondo_test::open_descriptors();
  {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    auto service = spawn(serve(listener, echo));
    std::vector<task<std::string>> clients;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(ask_once(listener.local_endpoint(), "message " + std::to_string(i)));
    }
    const auto answers = co_await when_all(std::move(clients));
    CHECK(answers.back() == "message 19");
    CHECK_FALSE(service.done());
    service.cancel();
    const std::error_code code = co_await code_of(std::move(service));
    CHECK(code == errc::canceled);
  }
  co_await round_trip();
  CHECK(rondo_test::open_descriptors() == before);
}

LOOP_TEST("Unix listeners are served as well, and give peer after peer") {
  const temporary_folder folder;
  const endpoint at = endpoint::unix_path(folder / "socket");
  unix_listener listener = unix_listener::bind(at);
  {
    auto peers = listener.accept_many();
    const auto both = co_await when_all(peers.next(), unix_stream::connect(at));
    CHECK(std::get<0>(both).has_value());
  }
  buffer_ring ring{4, 64};
  const auto answer = [](unix_stream peer, buffer_ring& buffers) -> task<> {
    auto chunks = peer.receive_many(buffers);
    while (auto chunk = co_await chunks.next()) co_await peer.write(std::move(*chunk));
  };
  auto service = spawn(serve(listener, answer, {}, std::ref(ring)));
  unix_stream client = co_await unix_stream::connect(at);
  co_await client.write("over a path");
  std::string received(11, '\0');
  co_await client.read_exactly(received);
  CHECK(received == "over a path");
  co_await ended(service);
}

LOOP_TEST("a listener that is given away is closed when the service ends") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const endpoint at = listener.local_endpoint();
  auto service = spawn(serve(std::move(listener), echo, {.max_connections = 4}));
  const std::string answer = co_await ask_once(at, "who is there");
  CHECK(answer == "who is there");
  co_await ended(service);
  const std::error_code code = co_await code_of(tcp_stream::connect(at));
  CHECK(code == std::errc::connection_refused);
}

LOOP_TEST("the handler and its arguments are copied once, and each handler gets the same") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  int served = 0;
  std::string greeting = "hello";
  const auto greet = [&served](tcp_stream peer, const std::string& words, int& count) -> task<> {
    ++served;
    ++count;
    co_await peer.write(words);
  };
  int counted_too = 0;
  auto service = spawn(serve(listener, greet, {}, greeting, std::ref(counted_too)));
  greeting = "changed";
  for (int i = 0; i < 3; ++i) {
    tcp_stream s = co_await tcp_stream::connect(listener.local_endpoint());
    std::string answer(5, '\0');
    co_await s.read_exactly(answer);
    CHECK(answer == "hello");
  }
  CHECK(served == 3);
  CHECK(counted_too == 3);
  co_await ended(service);
}

ON_BOTH_RINGS("an error in one handler ends its connection only, and is reported", {
  reports reported;
  const auto talk = [](tcp_stream peer) -> task<> {
    std::array<char, 8> bytes;
    const std::size_t n = co_await peer.read(bytes);
    if (bytes[0] == 'x') throw std::runtime_error("this one fails");
    co_await peer.write(std::string_view(bytes.data(), n));
    co_await peer.read(bytes);
  };
  const auto test = [](auto handler) -> task<> {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    auto service = spawn(serve(listener, handler));
    tcp_stream good = co_await tcp_stream::connect(listener.local_endpoint());
    tcp_stream bad = co_await tcp_stream::connect(listener.local_endpoint());
    co_await bad.write("x");
    char byte = 0;
    const std::size_t end = co_await bad.read(mutable_buffer(&byte, 1));
    CHECK(end == 0);
    const std::string answer = co_await ask(good, "good");
    CHECK(answer == "good");
    const std::string later = co_await ask_once(listener.local_endpoint(), "later");
    CHECK(later == "later");
    co_await ended(service);
  };
  rondo::run(test(talk), reported.options());
  CHECK(reported.all == std::vector<std::string>{"serve: this one fails"});
})

ON_BOTH_RINGS("a handler that gives no task but an exception is reported as well", {
  reports reported;
  const auto refuse = [](tcp_stream) -> task<> { throw std::runtime_error("not today"); };
  const auto test = [](auto handler) -> task<> {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    auto service = spawn(serve(listener, handler));
    for (int i = 0; i < 2; ++i) {
      tcp_stream s = co_await tcp_stream::connect(listener.local_endpoint());
      char byte = 0;
      const std::size_t end = co_await s.read(mutable_buffer(&byte, 1));
      CHECK(end == 0);
    }
    co_await ended(service);
  };
  rondo::run(test(refuse), reported.options());
  CHECK(reported.all == std::vector<std::string>{"serve: not today", "serve: not today"});
})

LOOP_TEST("no more are accepted than may be served at a time, and the others wait") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  census c;
  auto service =
      spawn(serve(listener, count_and_wait, {.max_connections = 2}, std::ref(c), 3600s));
  std::vector<tcp_stream> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(co_await tcp_stream::connect(listener.local_endpoint()));
  }
  const auto before = rondo_test::open_descriptors();
  co_await until([&c] { return c.alive == 2; });
  for (int i = 0; i < 20; ++i) co_await round_trip();
  CHECK(c.alive == 2);
  CHECK(c.begun == 2);
  CHECK(rondo_test::open_descriptors() <= before + 2);
  for (int gone = 1; gone <= 3; ++gone) {
    clients.erase(clients.begin());
    co_await until([&c, gone] { return c.begun == 2 + gone; });
    CHECK(c.alive == 2);
  }
  co_await ended(service);
}

// The end

LOOP_TEST("without grace, handlers are canceled and have ended when serve ends") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  census c;
  auto service = spawn(serve(listener, count_and_wait, {}, std::ref(c), 3600s));
  const tcp_stream first = co_await tcp_stream::connect(listener.local_endpoint());
  const tcp_stream second = co_await tcp_stream::connect(listener.local_endpoint());
  co_await until([&c] { return c.alive == 2; });
  service.cancel();
  const std::error_code code = co_await code_of(std::move(service));
  CHECK(code == errc::canceled);
  CHECK(c.alive == 0);
  CHECK(c.canceled == 2);
}

VIRTUAL_TEST("with grace, handlers may go on for so long, and are canceled then") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  census c;
  const auto sleep_long = [](tcp_stream, census& all, int& number) -> task<> {
    const counted here(all);
    const bool is_long = number++ % 2 == 1;
    try {
      co_await sleep_for(is_long ? 60s : 3s);
      ++all.ended;
    } catch (const operation_canceled&) {
      ++all.canceled;
      throw;
    }
  };
  int number = 0;
  auto service = spawn(serve(listener, sleep_long, {.grace = 10s}, std::ref(c), std::ref(number)));
  const tcp_stream first = co_await tcp_stream::connect(listener.local_endpoint());
  const tcp_stream second = co_await tcp_stream::connect(listener.local_endpoint());
  while (c.alive != 2) co_await round_trip();
  const auto begin = now();
  service.cancel();
  for (int i = 0; i < 10; ++i) co_await round_trip();
  CHECK(c.alive == 2);
  const std::error_code code = co_await code_of(std::move(service));
  CHECK(code == errc::canceled);
  CHECK(c.ended == 1);
  CHECK(c.canceled == 1);
  CHECK(c.alive == 0);
  CHECK(now() - begin == 10s);
}

VIRTUAL_TEST("grace ends with the last handler") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  census c;
  auto service =
      spawn(serve(listener, count_and_wait, {.grace = 3600s}, std::ref(c), 2s));
  const tcp_stream client = co_await tcp_stream::connect(listener.local_endpoint());
  while (c.alive != 1) co_await round_trip();
  const auto begin = now();
  service.cancel();
  co_await service.wait();
  CHECK(c.ended == 1);
  CHECK(now() - begin <= 2s);
}

LOOP_TEST("a service that is canceled accepts nobody any more") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  census c;
  auto service = spawn(serve(listener, count_and_wait, {.grace = 3600s}, std::ref(c), 3600s));
  std::vector<tcp_stream> clients;
  clients.push_back(co_await tcp_stream::connect(listener.local_endpoint()));
  co_await until([&c] { return c.alive == 1; });
  service.cancel();
  for (int i = 0; i < 10; ++i) co_await round_trip();
  clients.push_back(co_await tcp_stream::connect(listener.local_endpoint()));
  for (int i = 0; i < 20; ++i) co_await round_trip();
  CHECK(c.begun == 1);
  clients.clear();
  co_await service.wait();
  CHECK(c.ended == 1);
}

ON_BOTH_RINGS("handlers get their grace also when the program's end cancels the service", {
  census c;
  const auto serve_and_leave = [](census& all) -> task<> {
    auto listener = std::make_shared<tcp_listener>(tcp_listener::bind(endpoint::loopback(0)));
    const auto service = [](std::shared_ptr<tcp_listener> l, census& count) -> task<> {
      co_await serve(*l, count_and_wait, {.grace = 5s}, std::ref(count), 3600s);
    };
    spawn(service, listener, std::ref(all));
    const auto leave_soon = [](endpoint at) -> task<> {
      tcp_stream s = co_await tcp_stream::connect(at);
      co_await finally(sleep_for(1h), sleep_for(2ms));  // a while after the service was canceled
    };
    spawn(leave_soon(listener->local_endpoint()));
    co_await until([&all] { return all.alive == 1; });
  };
  rondo::run(serve_and_leave(c));
  CHECK(c.ended == 1);
  CHECK(c.alive == 0);
})

LOOP_TEST("a listener that is closed ends the service when the last handler has ended") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  census c;
  auto service = spawn(serve(listener, count_and_wait, {}, std::ref(c), 3600s));
  tcp_stream client = co_await tcp_stream::connect(listener.local_endpoint());
  co_await until([&c] { return c.alive == 1; });
  co_await listener.close();
  for (int i = 0; i < 10; ++i) co_await round_trip();
  CHECK_FALSE(service.done());
  co_await client.close();
  const std::error_code code = co_await code_of(std::move(service));
  CHECK(code == std::error_code());
  CHECK(c.ended == 1);
}

LOOP_TEST("a listener that is closed while nobody can be accepted ends the service in order, too") {
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  census c;
  auto service = spawn(serve(listener, count_and_wait, {.max_connections = 2}, std::ref(c), 3600s));
  std::vector<tcp_stream> clients;
  for (int i = 0; i < 2; ++i) {
    clients.push_back(co_await tcp_stream::connect(listener.local_endpoint()));
  }
  co_await until([&c] { return c.alive == 2; });
  co_await listener.close();
  clients.pop_back();
  co_await until([&c] { return c.alive == 1; });
  for (int i = 0; i < 20; ++i) co_await round_trip();
  CHECK_FALSE(service.done());
  CHECK(c.alive == 1);  // it goes on
  clients.pop_back();
  const std::error_code code = co_await code_of(std::move(service));
  CHECK(code == std::error_code());
}

LOOP_TEST("what is no listener is an error, and a service that never begins does nothing") {
  tcp_listener none;
  const std::error_code code = co_await code_of(serve(none, echo));
  CHECK(code == std::errc::bad_file_descriptor);
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const std::string words = co_await words_of(serve(listener, echo, {.max_connections = 0}));
  CHECK(words == "serve: max_connections of 0 would serve nobody");
  static_cast<void>(serve(listener, echo));
  auto canceled = spawn(code_of(serve(listener, echo)));
  canceled.cancel();
  const std::error_code how = co_await canceled;
  CHECK(how == errc::canceled);
}

LOOP_TEST("handlers see the context variables of the service") {
  static context_var<int> number{1};
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  const auto tell = [](tcp_stream peer) -> task<> {
    const int value = co_await number;
    co_await peer.write(std::to_string(value));
  };
  const auto with_seven = [](tcp_listener& l, auto handler) -> task<> {
    co_await with_context(number, 7, serve(l, handler));
  };
  auto service = spawn(with_seven(listener, tell));
  tcp_stream s = co_await tcp_stream::connect(listener.local_endpoint());
  char digit = 0;
  const std::size_t n = co_await s.read(mutable_buffer(&digit, 1));
  CHECK(n == 1);
  CHECK(digit == '7');
  co_await ended(service);
}

// Trouble

ON_BOTH_RINGS("no room for a descriptor is reported once, and accepting goes on when there is room", {
  reports reported;
  census c;
  const auto test = [](census& all) -> task<> {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    std::vector<tcp_stream> clients;
    for (int i = 0; i < 4; ++i) {
      clients.push_back(co_await tcp_stream::connect(listener.local_endpoint()));
    }
    // UBSan needs a descriptor to look at an exception of a type that it has not seen yet.
    const std::system_error example(EMFILE, std::system_category());
    static_cast<void>(rondo::detail::describe(std::make_exception_ptr(example)));
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    rlimit low = before;
    const int lowest = ::dup(0);
    ::close(lowest);
    low.rlim_cur = static_cast<rlim_t>(lowest) + 1;
    ::setrlimit(RLIMIT_NOFILE, &low);
    auto service = spawn(serve(listener, count_and_wait, {}, std::ref(all), 3600s));
    for (int i = 0; i < 60; ++i) co_await sleep_for(1ms);
    const int at_the_limit = all.begun;
    clients.erase(clients.begin());
    const descriptor taken(::dup(0));  // its number, so that there is room when its handler ends
    for (int i = 0; i < 1000 && all.begun < 2; ++i) co_await sleep_for(1ms);
    for (int i = 0; i < 60; ++i) co_await sleep_for(1ms);
    const int later = all.begun;
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(at_the_limit == 1);
    CHECK(later == 2);
    co_await until([&all] { return all.begun == 4; });
    CHECK_FALSE(service.done());
    co_await ended(service);
  };
  rondo::run(test(c), reported.options());
  // There was room in between, so it was told a second time.
  REQUIRE(reported.all.size() == 2);
  CHECK(reported.all[0] == "serve: accept: " + std::system_category().message(EMFILE));
})

namespace {

task<> churn_of_handlers(int count) {
  constexpr int clients = 50;
  tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
  auto service = spawn(serve(listener, echo, {.max_connections = 40}));
  std::vector<task<>> all;
  for (int i = 0; i < clients; ++i) {
    all.push_back(misbehave_often(listener.local_endpoint(), count / clients));
  }
  co_await when_all(std::move(all));
  service.cancel();
  co_await service.wait();
}

}  // namespace

ON_BOTH_RINGS("ten thousand connections, four in five of them rude, leave no descriptor behind", {
  reports reported;  // resets, if the answer had not gone yet
  const auto before = rondo_test::open_descriptors();
  rondo::run(churn_of_handlers(10'000), reported.options());
  CHECK(rondo_test::open_descriptors() == before);
})

ON_BOTH_RINGS("a service survives injected faults", {
  reports reported;
  const auto test = []() -> task<int> {
    tcp_listener listener = tcp_listener::bind(endpoint::loopback(0));
    auto service = spawn(serve(listener, echo, {.max_connections = 3}));
    int answered = 0;
    for (int i = 0; i < 40; ++i) {
      const auto r = co_await as_result(try_for(5s, ask_once(listener.local_endpoint(), "hi")));
      if (r && !*r) throw std::runtime_error("it hangs");
      if (r) ++answered;
    }
    CHECK_FALSE(service.done());
    co_await ended(service);
    co_return answered;
  };
  int answered = 0;
  const auto before = rondo_test::open_descriptors();
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    testing::faults f(seed);
    f.errors(5).late_completions(20).short_transfers(30).refused_calls(10).full_queues(10);
    answered += rondo::run(test(), f.options(reported.options()));
  }
  CHECK(answered > 50);
  CHECK(rondo_test::open_descriptors() == before);
})
