// SPDX-License-Identifier: BSL-1.0

#include <rondo/fmt.hpp>

#include <stdexcept>
#include <string>

#include "support/loop_test.hpp"

using rondo::endpoint;
using rondo::unhandled_error;
using kind = unhandled_error::kind;

TEST_CASE("fmt: an endpoint is formatted as to_string does, and like a string") {
  CHECK(fmt::format("{}", endpoint::parse("127.0.0.1:80")) == "127.0.0.1:80");
  CHECK(fmt::format("{}", endpoint::parse("[::1]:443")) == "[::1]:443");
  CHECK(fmt::format("{}", endpoint::unix_path("/run/app.sock")) == "/run/app.sock");
  CHECK(fmt::format("[{:>14}]", endpoint::loopback(8080)) == "[127.0.0.1:8080]");
  CHECK(fmt::format("[{:>16}]", endpoint::loopback(8080)) == "[  127.0.0.1:8080]");
}

TEST_CASE("fmt: backends and kinds are formatted as their names") {
  CHECK(fmt::format("{} {} {}", rondo::backend::automatic, rondo::backend::io_uring,
                    rondo::backend::epoll) == "automatic io_uring epoll");
  CHECK(fmt::format("{} {} {} {} {} {} {}", kind::spawned, kind::post, kind::suppressed,
                    kind::ignores_cancellation, kind::slow_resume, kind::never_awaited,
                    kind::left_over) ==
        "spawned post suppressed ignores_cancellation slow_resume never_awaited left_over");
}

TEST_CASE("fmt: what on_unhandled gets is formatted in one line") {
  const auto error = std::make_exception_ptr(std::runtime_error("no such table"));
  CHECK(fmt::format("{}", unhandled_error{kind::spawned, "reader", error, {}}) ==
        "spawned reader: no such table");
  CHECK(fmt::format("{}", unhandled_error{kind::post, {}, error, {}}) == "post: no such table");
  CHECK(fmt::format("{}", unhandled_error{kind::slow_resume, {}, nullptr, "for 2 s"}) ==
        "slow_resume: for 2 s");
}

TEST_CASE("fmt: so is an error that arrives there") {
  std::string line;
  rondo::loop_options options;
  options.on_unhandled = [&line](const unhandled_error& e) { line = fmt::format("{}", e); };
  rondo::run(
      []() -> rondo::task<> {
        rondo::spawn(rondo::spawn_options{.name = "worker"}, []() -> rondo::task<> {
          throw std::runtime_error("it broke");
          co_return;
        });
        co_await rondo::yield();
        co_await rondo::yield();
      }(),
      options);
  CHECK(line == "spawned worker: it broke");
}
