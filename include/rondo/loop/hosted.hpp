// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What a loop does between turns that somebody else asks for, one by one (loop/embedding.hpp): it
// lets their loop wait in its place. Nothing, until somebody has asked for the descriptor.

#include <algorithm>
#include <chrono>
#include <optional>

#include <rondo/loop/embedding.hpp>
#include <rondo/loop/engine.hpp>

namespace rondo::detail {

class hosted : public engine {
 protected:
  using engine::engine;
  ~hosted() = default;

  /// Makes the descriptor. Throws: std::system_error.
  int embed(bool at_rest) {
    if (!embedding_) {
      embedding_.emplace(ring_.pollable());
      if (at_rest) rest();
    }
    return embedding_->native_handle();
  }
  /// Somebody else waits from here on, until the next turn.
  void rest() noexcept {
    if (!embedding_) [[likely]] return;
    send_cancels();
    // The soft ring is entered in any case: its descriptor stays readable until it has looked.
    if (ring_.has_unsubmitted() || ring_.pollable() >= 0) ring_.enter(false, nullptr);
    ring_.be_polled();
    const bool deaf = ring_.notify(embedding_->notices()) != 0;  // for want of memory
    inbox_.sleeps_on(embedding_->notices());
    embedding_->hush();  // what comes later than this is seen below, or is a new notice
    const bool busy = !inbox_.fall_asleep() || has_ready() || has_cancels() || deaf ||
                      ring_.has_unsubmitted() || ring_.has_completions() ||
                      ring_.has_silent_work();
    time_point alarm = busy ? embedding::at_once : next_alarm();
    if (ring_.must_insist()) [[unlikely]] {
      alarm = std::min(alarm, loop_clock::real_now() + std::chrono::nanoseconds(insisting_pause.tv_nsec));
    }
    embedding_->alarm(alarm);
    rouse_with([](loop_base& self) noexcept {
      static_cast<hosted&>(self).embedding_->alarm(embedding::at_once);
    });
  }
  void end_rest() noexcept {
    if (!embedding_) [[likely]] return;
    rouse_with(nullptr);
    inbox_.sleeps_on(inbox_.native_handle());
    inbox_.wake_up();
  }

 private:
  std::optional<embedding> embedding_;
};

}  // namespace rondo::detail
