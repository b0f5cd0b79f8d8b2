// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does a coroutine cost? One body for all contenders, compiled against each one's task:
//
//   await        co_await of a child that returns an int at once       per child
//   fib          fib(27), each call a coroutine                        per call
//   deep         a chain of awaits, 1000 deep                          per level
//   yield        going through the queue of what may run, alone        per hop
//   spawn_join   starting a child on its own and awaiting it           per child
//
// Children are not inlined, so no compiler can merge their frame into the caller's.

#include "../support/bench.hpp"

namespace question {

inline constexpr int awaits = 300'000;
inline constexpr int fib_of = 27;
inline constexpr int fib_is = 196'418;
inline constexpr int fib_calls = 635'621;
inline constexpr int depth = 1'000;
inline constexpr int chains = 300;
inline constexpr int yields = 1'000'000;
inline constexpr int spawns = 300'000;

/// What a sum over children 0 ... n - 1 must be.
constexpr long sum_to(long n) { return n * (n - 1) / 2; }

template <template <typename> typename Task>
[[gnu::noinline]] Task<int> child(int n) {
  co_return n;
}

template <template <typename> typename Task>
[[gnu::noinline]] Task<int> fib(int n) {
  if (n < 2) co_return n;
  const int a = co_await fib<Task>(n - 1);
  const int b = co_await fib<Task>(n - 2);
  co_return a + b;
}

template <template <typename> typename Task>
[[gnu::noinline]] Task<int> level(int n) {
  if (n == 1) co_return 1;
  const int below = co_await level<Task>(n - 1);
  co_return below + 1;
}

/// `spawn(task)` gives what joins it when awaited; `yield()` is awaited.
template <template <typename> typename Task, typename Spawn, typename Yield>
Task<int> ask(const char* contender, Spawn spawn, Yield yield) {
  bench::row await{"task", "await", contender, awaits};
  while (await.again()) {
    long sum = 0;
    for (int i = 0; i < awaits; ++i) sum += co_await child<Task>(i);
    bench::check(sum == sum_to(awaits), "await");
  }

  bench::row recursion{"task", "fib", contender, fib_calls};
  while (recursion.again()) {
    const int result = co_await fib<Task>(fib_of);
    bench::check(result == fib_is, "fib");
  }

  bench::row deep{"task", "deep", contender, double{depth} * chains};
  while (deep.again()) {
    for (int i = 0; i < chains; ++i) {
      const int levels = co_await level<Task>(depth);
      bench::check(levels == depth, "deep");
    }
  }

  bench::row hop{"task", "yield", contender, yields};
  while (hop.again()) {
    int hops = 0;
    for (int i = 0; i < yields; ++i) {
      co_await yield();
      ++hops;
    }
    bench::check(hops == yields, "yield");
  }

  bench::row join{"task", "spawn_join", contender, spawns};
  while (join.again()) {
    long sum = 0;
    for (int i = 0; i < spawns; ++i) {
      sum += co_await spawn(child<Task>(i));
    }
    bench::check(sum == sum_to(spawns), "spawn_join");
  }
  co_return 0;
}

}  // namespace question
