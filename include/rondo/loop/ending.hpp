// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// How a run ends. What was spawned does not outlive it, nor does anything in flight:
//
//   1. what is left is canceled, and awaited, with whatever it does on the way out
//   2. so is what nobody awaits any more: streams that were dropped
//
// That takes as long as it takes, because what the kernel or a thread may still write to cannot be
// freed. Two things can be said about it: with virtual time, that it will take for ever
// (loop/deadlock.hpp); and with loop_options::drain_timeout, that it takes too long.

#include <chrono>
#include <new>
#include <string_view>
#include <utility>

#include <rondo/core/error.hpp>
#include <rondo/loop/deadlock.hpp>
#include <rondo/loop/hosted.hpp>
#include <rondo/loop/task_tree.hpp>

namespace rondo::detail {

class ending : public hosted {
 protected:
  ending(report_function on_report, const loop_options& options)
      : hosted(on_report, options), patience_(options.drain_timeout) {}
  ~ending() = default;

  /// What is spawned now starts canceled.
  [[nodiscard]] bool finishing() const noexcept { return finishing_; }

  /// The run has ended. False: drain_timeout is over, and something is left; it stays the loop's,
  /// and canceled.
  [[nodiscard]] bool finish() noexcept {
    const time_point now = loop_clock::real_now();
    const bool limited = patience_ > patience_.zero() && patience_ < never - now;
    return finish_until(limited ? now + patience_ : never);
  }
  /// Whether it was last time.
  [[nodiscard]] bool gave_up() const noexcept { return gave_up_; }
  /// However long it takes.
  void finish_at_last() noexcept { static_cast<void>(finish_until(never)); }

  /// Virtual time: nothing can happen any more. Cancels everybody, and keeps their names.
  void end_deadlock(scope& root, deadlock& it) noexcept {
    if (!std::exchange(it.found, true)) {
      it.waiting.here("the root");
      const roll_call::held now(*this, it.waiting);
      root.cancel();
      tasks().cancel_all();
    }
    if (is_stuck()) report_stuck("the root");
  }

 private:
  [[nodiscard]] bool finish_until(time_point limit) noexcept {
    tasks().root_is(nullptr);
    static_cast<void>(turn_is_over());  // the last one of the run
    finishing_ = true;
    if (debug()) [[unlikely]] tell_of_those_left();
    tasks().cancel_all();
    gave_up_ = false;
    while ((!tasks().empty() || any_orphans()) && !gives_up(limit)) {
      if (is_stuck()) [[unlikely]] report_stuck({});
      turn(limit);
    }
    if (!gave_up_) cancel_everything_in_flight();
    while (!gave_up_ && (kernel_holds_something() || has_ready()) && !gives_up(limit)) turn(limit);
    if (gave_up_) [[unlikely]] report_overdue();
    wound_up();
    finishing_ = false;
    stuck_ = false;
    return !gave_up_;
  }
  /// Asked while something is left.
  [[nodiscard]] bool gives_up(time_point limit) noexcept {
    gave_up_ = limit != never && loop_clock::real_now() >= limit;
    return gave_up_;
  }

  /// What was canceled has not ended, and nothing can happen any more.
  [[gnu::cold]] void report_stuck(std::string_view also) noexcept {
    if (std::exchange(stuck_, true)) return;
    roll_call left;
    if (!also.empty()) left.here(also);
    {
      const roll_call::held now(*this, left);
      tasks().cancel_all();
    }
    if (left.empty()) left.here({});  // children of something that was dropped
    report(left_in_deadlock(left));
  }

  [[gnu::cold]] void report_overdue() noexcept {
    try {
      report({unhandled_error::kind::left_over, {}, nullptr,
              "what was left when the root had ended was canceled, and has not ended within "
              "drain_timeout:\n" +
                  task_tree(*this)});
    } catch (const std::bad_alloc&) {  // drain_error says it in fewer words
    }
  }

  [[gnu::cold]] void tell_of_those_left() noexcept {
    tasks().for_each([this](spawned_base& task) {
      if (task.line.canceled()) return;
      try {
        report({unhandled_error::kind::left_over, task.name(), nullptr,
                in_words(task.name()) + " was left when the root had ended, and is canceled: " +
                    describe(task.line)});
      } catch (const std::bad_alloc&) {  // then it is not said
      }
    });
  }

  std::chrono::nanoseconds patience_;
  bool finishing_ = false;
  bool gave_up_ = false;
  bool stuck_ = false;  // what was canceled does not end, and that was reported
};

}  // namespace rondo::detail
