// SPDX-License-Identifier: BSL-1.0
#pragma once

// Two threads with a ring each that wake each other in turns, for the two ways in which a ring can
// be woken: `Side` has wake(other) and sleep(), and is made by the thread that sleeps on it.

#include "question.hpp"

#include "../support/raw_ring.hpp"

#include <atomic>
#include <thread>

namespace hand {

template <typename Side>
void ping_pong(const char* contender) {
  question::at_each_place([contender](const question::place& place) {
    Side mine;
    std::atomic<Side*> theirs{nullptr};
    std::atomic<bool> stop{false};
    std::thread other([&] {
      bench::pin_this_thread(place.there);
      Side self;
      theirs.store(&self);
      theirs.notify_one();
      for (;;) {
        self.sleep();
        if (stop.load(std::memory_order_relaxed)) return;
        self.wake(mine);
      }
    });
    theirs.wait(nullptr);
    Side& opposite = *theirs.load();

    const std::string name = question::name("ping_pong", place);
    bench::row row("post", name.c_str(), contender, question::trips);
    while (row.again()) {
      for (int i = 0; i < question::trips; ++i) {
        mine.wake(opposite);
        mine.sleep();
      }
    }
    stop = true;
    mine.wake(opposite);
    mine.settle();
    other.join();
  });
}

}  // namespace hand
