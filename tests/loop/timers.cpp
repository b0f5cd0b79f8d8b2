// SPDX-License-Identifier: BSL-1.0

#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <rondo/loop/timers.hpp>
#include <vector>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using rondo::time_point;
using rondo::detail::timer;
using rondo::detail::timer_queue;

namespace {

/// Notes that it has fired.
struct noted : timer {
  noted(std::vector<int>& l, int n) : timer(&noted::due), log(l), number(n) {}
  static void due(timer& self) noexcept {
    auto& t = static_cast<noted&>(self);
    t.log.push_back(t.number);
  }
  std::vector<int>& log;
  int number;
};

constexpr time_point start{};

}  // namespace

TEST_CASE("timers fire in the order of their deadlines") {
  std::vector<int> log;
  noted a(log, 1), b(log, 2), c(log, 3);
  timer_queue queue;
  REQUIRE(queue.arm(a, start + 3s));
  REQUIRE(queue.arm(b, start + 1s));
  REQUIRE(queue.arm(c, start + 2s));
  CHECK(queue.size() == 3);
  CHECK(queue.earliest() == start + 1s);
  queue.expire(start + 10s);
  CHECK(log == std::vector{2, 3, 1});
  CHECK(queue.empty());
}

TEST_CASE("timers that are due together fire in the order in which they were armed") {
  std::vector<int> log;
  std::deque<noted> timers;
  timer_queue queue;
  for (int i = 0; i < 1000; ++i) REQUIRE(queue.arm(timers.emplace_back(log, i), start + 1s));
  queue.expire(start + 1s);
  REQUIRE(log.size() == 1000);
  for (int i = 0; i < 1000; ++i) CHECK(log[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("a timer fires at its deadline and not a nanosecond earlier") {
  std::vector<int> log;
  noted t(log, 1);
  timer_queue queue;
  REQUIRE(queue.arm(t, start + 1s));
  queue.expire(start + 1s - 1ns);
  CHECK(log.empty());
  CHECK(t.armed());
  queue.expire(start + 1s);
  CHECK(log.size() == 1);
  CHECK_FALSE(t.armed());
}

TEST_CASE("a timer that is armed again counts as the youngest of its deadline") {
  std::vector<int> log;
  noted a(log, 1), b(log, 2);
  timer_queue queue;
  REQUIRE(queue.arm(a, start + 1s));
  REQUIRE(queue.arm(b, start + 1s));
  queue.disarm(a);
  REQUIRE(queue.arm(a, start + 1s));
  queue.expire(start + 1s);
  CHECK(log == std::vector{2, 1});
}

TEST_CASE("a timer that fires may take another one back") {
  std::vector<int> log;
  noted victim(log, 2);
  struct killer : timer {
    killer(timer_queue& q, timer& v) : timer(&killer::due), queue(q), other(v) {}
    static void due(timer& self) noexcept {
      auto& k = static_cast<killer&>(self);
      k.queue.disarm(k.other);
    }
    timer_queue& queue;
    timer& other;
  };
  timer_queue queue;
  killer k(queue, victim);
  REQUIRE(queue.arm(k, start + 1s));
  REQUIRE(queue.arm(victim, start + 1s));
  queue.expire(start + 2s);
  CHECK(log.empty());
  CHECK(queue.empty());
}

TEST_CASE("timers armed, taken back and fired at random agree with a multimap") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  constexpr int count = 2000;
  std::vector<int> log;
  std::deque<noted> timers;
  for (int i = 0; i < count; ++i) timers.emplace_back(log, i);

  timer_queue queue;
  // A multimap keeps equal keys in the order in which they were inserted, as the queue must.
  std::multimap<time_point, int> model;
  std::vector<std::multimap<time_point, int>::iterator> places(count, model.end());
  std::vector<int> expected;
  time_point now = start;
  for (int step = 0; step < 50'000; ++step) {
    const auto which = std::uniform_int_distribution<std::size_t>(0, count - 1)(random);
    noted& t = timers[which];
    if (t.armed() != (places[which] != model.end())) FAIL("armed() lies");
    if (t.armed()) {
      queue.disarm(t);
      model.erase(places[which]);
      places[which] = model.end();
    } else {
      const auto deadline = now + std::chrono::seconds(random() % 500);
      REQUIRE(queue.arm(t, deadline));
      places[which] = model.emplace(deadline, static_cast<int>(which));
    }
    if (step % 64 == 0) {
      now += std::chrono::seconds(random() % 40);
      queue.expire(now);
      while (!model.empty() && model.begin()->first <= now) {
        const int due = model.begin()->second;
        expected.push_back(due);
        places[static_cast<std::size_t>(due)] = model.end();
        model.erase(model.begin());
      }
      if (queue.size() != model.size()) FAIL("the queue has lost or kept a timer");
      if (!model.empty() && queue.earliest() != model.begin()->first) FAIL("earliest() lies");
    }
  }
  CHECK(expected.size() > 1000);
  CHECK(log == expected);
  for (noted& t : timers) {
    if (t.armed()) queue.disarm(t);
  }
  CHECK(queue.empty());
}

TEST_CASE("of many that are due, no more fire at once than are asked for, the earliest first") {
  std::vector<int> log;
  std::deque<noted> timers;
  timer_queue queue;
  for (int i = 0; i < 10; ++i) REQUIRE(queue.arm(timers.emplace_back(log, i), start + 1s));
  CHECK_FALSE(queue.expire(start + 1s, 4));
  CHECK(log == std::vector{0, 1, 2, 3});
  CHECK(queue.size() == 6);
  CHECK(queue.expire(start + 1s, 6));
  CHECK(log.size() == 10);
  CHECK(queue.expire(start + 2s, 0));  // nothing is due
}
