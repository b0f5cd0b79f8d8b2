// SPDX-License-Identifier: BSL-1.0

// A uv_timer_t for each sleep, in whole milliseconds: it has no finer ones. Rounded up.

#include "../question.hpp"

#include <uv.h>

namespace {

/// There is nobody to tell: each is taken out of the heap.
void cancel() {
  uv_loop_t loop;
  uv_loop_init(&loop);
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
  uv_loop_close(&loop);
}

class sleeping {
 public:
  explicit sleeping(std::size_t most) : timers_(most) { uv_loop_init(&loop_); }
  sleeping(const sleeping&) = delete;
  sleeping& operator=(const sleeping&) = delete;
  ~sleeping() { uv_loop_close(&loop_); }

  void operator()(const std::vector<std::chrono::microseconds>& lengths) {
    int woken = 0;
    uv_update_time(&loop_);
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      uv_timer_t& timer = timers_[i];
      uv_timer_init(&loop_, &timer);
      timer.data = &woken;
      const auto length = std::chrono::ceil<std::chrono::milliseconds>(lengths[i]).count();
      uv_timer_start(
          &timer, [](uv_timer_t* t) { ++*static_cast<int*>(t->data); },
          static_cast<std::uint64_t>(length), 0);
    }
    uv_run(&loop_, UV_RUN_DEFAULT);
    bench::check(woken == static_cast<int>(lengths.size()), "all wake");
    for (uv_timer_t& t : timers_) uv_close(reinterpret_cast<uv_handle_t*>(&t), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
  }

 private:
  uv_loop_t loop_;
  std::vector<uv_timer_t> timers_;
};

}  // namespace

int main() {
  question::memory("libuv", [](const auto& lengths) { sleeping(lengths.size())(lengths); });
  cancel();
  for (const question::size& size : question::sizes) {
    const auto lengths = question::lengths(size.sleeps);
    sleeping sleep(lengths.size());
    bench::row row = question::row("libuv", size);
    row.slow();
    while (row.again()) sleep(lengths);
  }
}
