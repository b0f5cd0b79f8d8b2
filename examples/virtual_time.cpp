// SPDX-License-Identifier: BSL-1.0
//
// Tests code that waits without waiting: retries that back off for more than an hour, and a limit
// that ends them. With virtual time the clock jumps to the next timer whenever nothing can run, so
// a test is quick, and exact to the nanosecond.
//
//     ./virtual_time
//     answered at the 13th attempt, after exactly 1 h 8 min 15 s
//     given up after 12 attempts, and exactly 1 h
//     all of that took 0 ms
//
// smoke:
// prints: ^answered at the 13th attempt, after exactly 1 h 8 min 15 s$
// prints: ^given up after 12 attempts, and exactly 1 h$
// prints: ^all of that took \d{1,4} ms$

#include <chrono>
#include <cstdio>
#include <optional>
#include <rondo/rondo.hpp>
#include <stdexcept>

using namespace std::chrono;

/// Stands in for a real one: busy at first.
struct server {
  int busy_for = 0;  // attempts
  int attempts = 0;

  rondo::task<int> ask() {
    co_await rondo::yield();
    if (++attempts <= busy_for) throw std::runtime_error("busy");
    co_return attempts;
  }
};

// [retry]
rondo::task<int> ask_until_answered(server& s) {
  for (seconds pause = 1s;; pause *= 2) {
    const auto answer = co_await rondo::as_result(s.ask());
    if (answer) co_return *answer;
    co_await rondo::sleep_for(pause);           // 1 s, 2 s, 4 s, ...
  }
}

rondo::task<> test_the_pauses() {
  server s{12};                                 // busy twelve times
  const auto begin = rondo::event_loop::current().now();
  const int attempt = co_await ask_until_answered(s);
  const auto took = rondo::event_loop::current().now() - begin;
  const bool right = attempt == 13 && took == 1h + 8min + 15s;
  std::puts(right ? "answered at the 13th attempt, after exactly 1 h 8 min 15 s" : "wrong");
}
// [retry]

rondo::task<> test_the_limit() {
  server s{1000};
  const auto begin = rondo::event_loop::current().now();
  const std::optional<int> answer = co_await rondo::try_for(1h, ask_until_answered(s));
  const auto took = rondo::event_loop::current().now() - begin;
  const bool right = !answer && s.attempts == 12 && took == 1h;
  std::puts(right ? "given up after 12 attempts, and exactly 1 h" : "wrong");
}

int main() {
  const auto begin = steady_clock::now();
  rondo::run(test_the_pauses(), rondo::loop_options::virtual_time());
  rondo::run(test_the_limit(), rondo::loop_options::virtual_time());
  const auto took = duration_cast<milliseconds>(steady_clock::now() - begin);
  std::printf("all of that took %d ms\n", static_cast<int>(took.count()));
}
