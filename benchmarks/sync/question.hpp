// SPDX-License-Identifier: BSL-1.0
#pragma once

// What do the ways cost in which tasks of one loop wait for each other? One body for all
// contenders, compiled against each one's types:
//
//   mutex        lock and unlock of a mutex that is free         per pair
//   mutex_turns  two tasks that lock the same mutex in turns     per pair
//   semaphore    acquire and give back one of many permits       per pair
//   event        two tasks that wake each other in turns         per wait

#include "../support/bench.hpp"

#include <utility>

namespace question {

inline constexpr int locks = 1'000'000;
inline constexpr int turns = 300'000;

template <typename Task, typename Mutex>
Task lock_in_turns(Mutex& m, int times, int& inside, int& locked) {
  for (int i = 0; i < times; ++i) {
    const auto guard = co_await m.lock();
    bench::check(++inside == 1, "one at a time");
    // The other one comes to wait for it now.
    co_await m.let_others_run();
    --inside;
    ++locked;
  }
}

template <typename Task, typename Event>
Task wake_in_turns(Event& mine, Event& other, int times, int& woken) {
  for (int i = 0; i < times; ++i) {
    co_await mine.wait();
    mine.reset();
    ++woken;
    other.set();
  }
}

/// both(a, b) gives what awaits two tasks that run at once.
template <template <typename> typename Task, typename Mutex, typename Semaphore, typename Event,
          typename Both>
Task<int> ask(const char* contender, Both both) {
  bench::row alone{"sync", "mutex", contender, locks};
  while (alone.again()) {
    Mutex m;
    int locked = 0;
    for (int i = 0; i < locks; ++i) {
      const auto guard = co_await m.lock();
      bench::keep(locked);
      ++locked;
    }
    bench::check(locked == locks, "mutex");
  }

  bench::row in_turns{"sync", "mutex_turns", contender, 2.0 * turns};
  while (in_turns.again()) {
    Mutex m;
    int inside = 0;
    int locked = 0;
    co_await both(lock_in_turns<Task<void>>(m, turns, inside, locked),
                  lock_in_turns<Task<void>>(m, turns, inside, locked));
    bench::check(locked == 2 * turns, "mutex_turns");
  }

  bench::row permits{"sync", "semaphore", contender, locks};
  while (permits.again()) {
    Semaphore s(10);
    int acquired = 0;
    for (int i = 0; i < locks; ++i) {
      const auto permit = co_await s.acquire();
      bench::keep(acquired);
      ++acquired;
    }
    bench::check(acquired == locks, "semaphore");
  }

  bench::row waking{"sync", "event", contender, 2.0 * turns};
  while (waking.again()) {
    Event a;
    Event b;
    int woken = 0;
    a.set();
    co_await both(wake_in_turns<Task<void>>(a, b, turns, woken),
                  wake_in_turns<Task<void>>(b, a, turns, woken));
    bench::check(woken == 2 * turns, "event");
  }
  co_return 0;
}

}  // namespace question
