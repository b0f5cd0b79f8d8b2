// SPDX-License-Identifier: BSL-1.0
#pragma once

// A loop that runs in a thread of its own for as long as this exists.

#include <memory>
#include <rondo/rondo.hpp>
#include <thread>

namespace rondo::test {

class other_loop {
 public:
  other_loop() : thread_([this] { loop_->run(until(end_)); }) {}
  other_loop(const other_loop&) = delete;
  other_loop& operator=(const other_loop&) = delete;
  ~other_loop() { stop(); }

  [[nodiscard]] event_loop& loop() const noexcept { return *loop_; }
  [[nodiscard]] std::thread::id thread() const noexcept { return thread_.get_id(); }
  /// Lets the root end, and waits for the thread.
  void stop() {
    if (!thread_.joinable()) return;
    end_.set_value();
    thread_.join();
  }
  void destroy() {
    stop();
    loop_.reset();
  }

 private:
  static task<> until(oneshot<> end) { co_await end.wait(); }

  oneshot<> end_;
  std::unique_ptr<event_loop> loop_ = std::make_unique<event_loop>();
  std::thread thread_;
};

}  // namespace rondo::test
