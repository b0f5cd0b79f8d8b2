// SPDX-License-Identifier: BSL-1.0

// A coroutine with a steady_timer for each sleep.

#include "../question.hpp"

#include <asio.hpp>

#include "../../support/asio_task.hpp"

namespace {

using timer =
    asio::basic_waitable_timer<question::clock, asio::wait_traits<question::clock>, peer::executor>;

peer::task<void> sleep(std::chrono::microseconds length, int& woken) {
  const auto begun = question::clock::now();
  timer t(peer::context(), length);
  co_await t.async_wait(peer::use_awaitable);
  bench::check(question::clock::now() - begun >= length, "not before its time");
  ++woken;
}

peer::task<void> sleep_long() {
  timer t(peer::context(), std::chrono::hours(1));
  co_await t.async_wait(peer::use_awaitable);
}

void cancel() {
  bench::row row = question::cancel_tasks("asio");
  while (row.again()) {
    int canceled = 0;
    std::vector<asio::cancellation_signal> signals(question::canceled);
    for (asio::cancellation_signal& signal : signals) {
      asio::co_spawn(peer::context(), sleep_long(),
                     asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr error) {
                       canceled += error != nullptr;
                     }));
    }
    peer::context().restart();
    peer::context().poll();
    row.begin();
    for (asio::cancellation_signal& signal : signals) {
      signal.emit(asio::cancellation_type::terminal);
    }
    peer::context().run();
    bench::check(canceled == question::canceled, "all were canceled");
  }
}

void sleep_all(const std::vector<std::chrono::microseconds>& lengths) {
  int woken = 0;
  for (const auto length : lengths) {
    asio::co_spawn(peer::context(), sleep(length, woken), asio::detached);
  }
  peer::context().restart();
  peer::context().run();
  bench::check(woken == static_cast<int>(lengths.size()), "all wake");
}

}  // namespace

int main() {
  question::memory("asio", sleep_all);
  cancel();
  for (const question::size& size : question::sizes) {
    const auto lengths = question::lengths(size.sleeps);
    bench::row row = question::row("asio", size);
    row.slow();
    while (row.again()) sleep_all(lengths);
  }
}
