// SPDX-License-Identifier: BSL-1.0
//
// A program that hangs can be asked what its tasks are waiting for: here by a signal.
//
//     ./who_waits            # asks itself after a moment, and ends
//     ./who_waits --wait     # until Ctrl-C: kill -USR1 PID asks
//
// Each of two philosophers has taken one thing and waits for what the other one has.
//
// smoke:
// prints: root: with_task_group.*\n  the body: sleep.*\n  teller: runs.*\n  Plato: a lock.*\n  Kant: a lock

#include <csignal>
#include <cstdio>
#include <functional>
#include <rondo/rondo.hpp>
#include <string_view>

using namespace std::chrono_literals;

// [tell]
rondo::task<> tell_when_asked() {
  auto asked = rondo::signals({SIGUSR1});
  while (auto signal = co_await asked.next()) {
    std::fputs(rondo::format_tasks(rondo::event_loop::current()).c_str(), stdout);
  }
}
// [tell]

rondo::task<> dine(rondo::mutex& left, rondo::mutex& right) {
  const auto first = co_await left.lock();
  co_await rondo::sleep_for(10ms);  // thinks
  const auto second = co_await right.lock();
  std::puts("dined");
}

rondo::task<> dinner(rondo::task_group& group, rondo::mutex& fork, rondo::mutex& spoon, bool wait) {
  group.spawn(tell_when_asked(), {.name = "teller"});
  group.spawn(dine(fork, spoon), {.name = "Plato"});
  group.spawn(dine(spoon, fork), {.name = "Kant"});
  if (wait) co_return;
  co_await rondo::sleep_for(50ms);
  std::raise(SIGUSR1);
  co_await rondo::sleep_for(50ms);
  group.cancel();
}

rondo::task<> hang(bool wait) {
  rondo::mutex fork, spoon;
  co_await rondo::with_task_group(dinner, std::ref(fork), std::ref(spoon), wait);
}

int main(int argc, char** argv) {
  return rondo::run_main(hang(argc > 1 && argv[1] == std::string_view("--wait")));
}
