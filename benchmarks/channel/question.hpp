// SPDX-License-Identifier: BSL-1.0
#pragma once

// What does it cost to hand a number from one task to another? One body for all contenders,
// compiled against each one's channel:
//
//   capacity_0      a rendezvous                     per message
//   capacity_1      one may wait to be fetched       per message
//   capacity_1024   many may                         per message

#include "../support/bench.hpp"

namespace question {

inline constexpr int messages = 1'000'000;

template <typename Task, typename Channel>
Task produce(Channel& c) {
  for (int i = 0; i < messages; ++i) co_await c.send(i);
}

template <typename Task, typename Channel>
Task consume(Channel& c, long& sum) {
  for (int i = 0; i < messages; ++i) {
    const auto value = co_await c.receive();
    sum += *value;
  }
}

/// both(a, b) gives what awaits two tasks that run at once.
template <template <typename> typename Task, typename Channel, typename Both>
Task<int> ask(const char* contender, Both both) {
  const struct {
    const char* name;
    std::size_t capacity;
  } rows[] = {{"capacity_0", 0}, {"capacity_1", 1}, {"capacity_1024", 1024}};
  for (const auto& each : rows) {
    bench::row row{"channel", each.name, contender, messages};
    while (row.again()) {
      Channel c(each.capacity);
      long sum = 0;
      co_await both(produce<Task<void>>(c), consume<Task<void>>(c, sum));
      bench::check(sum == long{messages} * (messages - 1) / 2, each.name);
    }
  }
  co_return 0;
}

}  // namespace question
