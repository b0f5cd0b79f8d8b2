// SPDX-License-Identifier: BSL-1.0

#include <numeric>
#include <random>
#include <stdexcept>

#include <rondo/rondo.hpp>
#include <rondo/testing.hpp>

#include "support/loop_test.hpp"
#include "sync/by_hand.hpp"

using namespace rondo;
using namespace rondo::test;

TEST_CASE("tasks wait for each other at a barrier, and each gets its place, round after round") {
  manual_loop loop;
  rondo::barrier b(3);
  for (int round = 0; round < 3; ++round) {
    waiting x(loop, b.arrive_and_wait());
    waiting y(loop, in_task(b.arrive_and_wait()));
    CHECK(b.waiting() == 2);
    CHECK_FALSE(x.done());
    waiting z(loop, b.arrive_and_wait());
    CHECK(b.waiting() == 0);
    REQUIRE(x.done());
    REQUIRE(z.done());
    loop.run_until_idle();
    REQUIRE(y.done());
    CHECK(x.take() == 0);
    CHECK(y.take() == 1);
    CHECK(z.take() == 2);
  }
}

TEST_CASE("an arrival that is canceled is taken back, and the others move up") {
  manual_loop loop;
  rondo::barrier b(3);
  waiting x(loop, b.arrive_and_wait());
  waiting y(loop, b.arrive_and_wait());
  x.cancel();
  CHECK(b.waiting() == 1);
  loop.run_until_idle();
  CHECK(x.was_canceled());
  waiting z(loop, b.arrive_and_wait());
  CHECK_FALSE(y.done());
  waiting w(loop, b.arrive_and_wait());
  CHECK(y.take() == 0);
  CHECK(z.take() == 1);
  CHECK(w.take() == 2);
}

TEST_CASE("who is canceled after the last one has arrived is through") {
  manual_loop loop;
  rondo::barrier b(2);
  waiting x(loop, in_task(b.arrive_and_wait()));
  waiting y(loop, b.arrive_and_wait());
  x.cancel();
  loop.run_until_idle();
  CHECK(x.take() == 0);
  CHECK(b.waiting() == 0);
}

TEST_CASE("who loses a race because the barrier opens takes nothing back from the next round") {
  manual_loop loop;
  rondo::barrier b(3);
  waiting race(loop, in_task(when_any(b.arrive_and_wait(), b.arrive_and_wait())));
  CHECK(b.waiting() == 2);
  waiting last(loop, b.arrive_and_wait());
  CHECK(last.take() == 2);
  CHECK(b.waiting() == 0);
  loop.run_until_idle();
  CHECK(std::get<0>(race.take()) == 0);
}

TEST_CASE("in a canceled task nobody arrives, nor by an arrival that is made and dropped") {
  manual_loop loop;
  rondo::barrier b(1);
  static_cast<void>(b.arrive_and_wait());
  waiting x(loop, b.arrive_and_wait(), in_canceled);
  CHECK(b.waiting() == 0);
  loop.run_until_idle();
  CHECK(x.was_canceled());
  waiting alone(loop, b.arrive_and_wait());
  CHECK(alone.take() == 0);
}

TEST_CASE("a barrier for nobody is refused") {
  CHECK_THROWS_AS(rondo::barrier(0), std::invalid_argument);
}

TEST_CASE("whatever the order, nobody is a round ahead") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO(seed);
    constexpr std::size_t players = 5;
    constexpr std::size_t rounds = 20;
    rondo::barrier b(players);
    std::array<std::size_t, players> done{};
    std::array<std::size_t, players> places{};  // in all rounds, by place
    const auto player = [&](std::size_t me) -> task<> {
      std::minstd_rand random(static_cast<unsigned>(me + 1));
      for (std::size_t i = 0; i < rounds; ++i) {
        co_await yields(static_cast<int>(random() % 4));
        ++done[me];
        const std::size_t place = co_await b.arrive_and_wait();
        ++places[place];
        for (const std::size_t other : done) CHECK((other == i + 1 || other == i + 2));
      }
    };
    rondo::run(
        [&]() -> task<> {
          std::vector<task<>> all;
          for (std::size_t i = 0; i < players; ++i) all.push_back(player(i));
          co_await when_all(std::move(all));
        }(),
        testing::faults(seed).options());
    for (const std::size_t n : places) CHECK(n == rounds);
  }
}
