// SPDX-License-Identifier: BSL-1.0
//
// Tests code that waits without waiting: retries that back off for more than an hour, and a limit
// that ends them. With virtual time the clock jumps to the next timer whenever nothing can run, so
// a test is quick, and exact to the nanosecond.
//
//     ./virtual_time
//     the 13th attempt was answered, after 1 h 8 min 15 s
//     nobody answers: given up after exactly 1 h, and 12 attempts
//     all of that took 0 ms
//
// smoke:
// prints: ^the 13th attempt was answered, after 1 h 8 min 15 s$
// prints: ^nobody answers: given up after exactly 1 h, and 12 attempts$
// prints: ^all of that took \d{1,4} ms$

#include <chrono>
#include <cstdio>
#include <functional>
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
rondo::task<int> ask_until_answered(server& s) {       // what is to be tested
  for (seconds pause = 1s;; pause *= 2) {
    const auto answer = co_await rondo::as_result(s.ask());
    if (answer) co_return *answer;
    co_await rondo::sleep_for(pause);                  // 1 s, 2 s, 4 s, ...
  }
}

rondo::task<> test_the_pauses() {
  server s{12};
  const auto begin = rondo::event_loop::current().now();
  const int attempt = co_await ask_until_answered(s);
  const hh_mm_ss took(rondo::event_loop::current().now() - begin);
  std::printf("the %dth attempt was answered, after %d h %d min %d s\n", attempt,
              static_cast<int>(took.hours().count()), static_cast<int>(took.minutes().count()),
              static_cast<int>(took.seconds().count()));
}
// [retry]

rondo::task<> test_the_limit() {
  server s{1000};
  const auto begin = rondo::event_loop::current().now();
  const std::optional<int> answer = co_await rondo::try_for(1h, ask_until_answered(s));
  const bool in_an_hour = rondo::event_loop::current().now() - begin == 1h;
  if (!answer && in_an_hour) {
    std::printf("nobody answers: given up after exactly 1 h, and %d attempts\n", s.attempts);
  }
}

int main() {
  const auto begin = steady_clock::now();
  rondo::run(test_the_pauses(), rondo::loop_options::virtual_time());
  rondo::run(test_the_limit(), rondo::loop_options::virtual_time());
  const auto took = duration_cast<milliseconds>(steady_clock::now() - begin);
  std::printf("all of that took %d ms\n", static_cast<int>(took.count()));
}
