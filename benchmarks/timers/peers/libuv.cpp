// SPDX-License-Identifier: BSL-1.0

// A uv_timer_t for each sleep, in whole milliseconds: it has no finer ones. Rounded up.

#include "../question.hpp"

#include <uv.h>

namespace {

/// There is nobody to tell: each is taken out of the heap.
void cancel(uv_loop_t& loop) {
  std::vector<uv_timer_t> timers(question::canceled);
  for (uv_timer_t& timer : timers) uv_timer_init(&loop, &timer);
  bench::row row = question::cancel_operations("libuv");
  while (row.again()) {
    for (uv_timer_t& timer : timers) uv_timer_start(&timer, [](uv_timer_t*) {}, 3'600'000, 0);
    row.begin();
    for (uv_timer_t& timer : timers) uv_timer_stop(&timer);
    bench::check(!uv_loop_alive(&loop), "all were canceled");
  }
  for (uv_timer_t& t : timers) uv_close(reinterpret_cast<uv_handle_t*>(&t), nullptr);
  uv_run(&loop, UV_RUN_DEFAULT);
}

}  // namespace

int main() {
  uv_loop_t loop;
  uv_loop_init(&loop);
  cancel(loop);
  for (const question::size& size : question::sizes) {
    const auto lengths = question::lengths(size.sleeps);
    std::vector<uv_timer_t> timers(lengths.size());
    bench::row row = question::row("libuv", size);
    row.slow();
    while (row.again()) {
      int woken = 0;
      uv_update_time(&loop);
      for (std::size_t i = 0; i < timers.size(); ++i) {
        uv_timer_init(&loop, &timers[i]);
        timers[i].data = &woken;
        const auto length = std::chrono::ceil<std::chrono::milliseconds>(lengths[i]).count();
        uv_timer_start(
            &timers[i], [](uv_timer_t* t) { ++*static_cast<int*>(t->data); },
            static_cast<std::uint64_t>(length), 0);
      }
      uv_run(&loop, UV_RUN_DEFAULT);
      bench::check(woken == size.sleeps, "all wake");
      for (uv_timer_t& t : timers) uv_close(reinterpret_cast<uv_handle_t*>(&t), nullptr);
      uv_run(&loop, UV_RUN_DEFAULT);
    }
  }
  uv_loop_close(&loop);
}
