// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Who watches a loop at work: each step of the ready queue is timed.
//
// With loop_options::debug, one that keeps the loop for too long is reported, since everybody else
// waits meanwhile. The usual cause is a call that blocks, or a long computation, which belongs on a
// thread (to_thread). With RONDO_TRACE all of them are written down (loop/trace.hpp).
//
// A step does not destroy the line that it ran in: whoever awaits a line goes on in a later step.

#include <chrono>
#include <optional>
#include <string>

#include <rondo/core/promise.hpp>
#include <rondo/core/ready_queue.hpp>
#include <rondo/core/scope.hpp>
#include <rondo/loop/loop_clock.hpp>
#include <rondo/loop/place.hpp>
#include <rondo/loop/trace.hpp>

namespace rondo::detail {

class work_watch {
 public:
  /// For those who ask for it, in the options or by the environment. Throws: std::system_error.
  static std::optional<work_watch> if_wanted(const loop_options& options) {
    trace_file* const trace = trace_file::of_process();
    if (trace == nullptr && !options.debug) return std::nullopt;
    return work_watch(options.debug ? options.slow_resume_threshold
                                    : std::chrono::nanoseconds::max(),
                      trace);
  }

  /// loop_base::run_ready, step by step.
  void run_ready(loop_base& loop, unsigned limit) noexcept {
    for (bool more = true; more && limit != 0 && loop.has_ready(); --limit) {
      const continuation told = loop.head_->waiter;
      scope* const line = told.is_listener() ? nullptr : &loop_base::line_of(told.coroutine());
      measure(loop, line, [&] { more = loop.run_next(); });
    }
  }

  /// Something that may run user code: what `line` does next, or, if that is null, a start.
  template <typename F>
  void measure(loop_base& loop, scope* line, F step) noexcept {
    source_location place;
    std::chrono::nanoseconds since{0};
    if (line != nullptr) {
      place = line->place();
      since = std::chrono::nanoseconds(line->suspended_since());
      line->forget_since();  // it may wait for its turn only, the next time
    }
    const time_point begin = loop_clock::real_now();
    loop.keep_time(begin.time_since_epoch().count());
    loop.started_ = nullptr;
    step();
    const time_point end = loop_clock::real_now();
    if (line == nullptr) line = loop.started_;
    if (end - begin > threshold_) [[unlikely]] report(loop, line, place, end - begin);
    if (trace_ != nullptr) write_down(line, place, time_point(since), begin, end);
  }

 private:
  work_watch(std::chrono::nanoseconds threshold, trace_file* trace)
      : threshold_(threshold), trace_(trace), track_(trace != nullptr ? trace->add_loop() : 0) {}

  [[gnu::cold]] static void report(loop_base& loop, const scope* line, source_location place,
                     std::chrono::nanoseconds length) noexcept {
    try {
      const std::string_view name = line != nullptr ? line->name() : std::string_view();
      const std::string from = describe(place);
      loop.report({unhandled_error::kind::slow_resume, name, nullptr,
                   in_words(name) + " kept the loop for " + span(length) +
                       (from.empty() ? ", from its start on" : ", from " + from + " on") +
                       "; what blocks or computes for long belongs in to_thread"});
    } catch (const std::bad_alloc&) {  // then it is not said
    }
  }
  [[gnu::cold]] void write_down(const scope* line, source_location place, time_point since,
                                time_point begin, time_point end) const noexcept {
    try {
      std::string what = describe(place);
      if (what.empty()) what = line != nullptr ? "start" : "a call";
      if (since != time_point()) trace_->waited(line, what, since, begin);
      if (line != nullptr && !line->name().empty()) what.insert(0, std::string(line->name()) + ": ");
      trace_->ran(track_, what, begin, end);
    } catch (const std::bad_alloc&) {  // then it is missing
    }
  }

  std::chrono::nanoseconds threshold_;
  trace_file* trace_;
  unsigned track_;  // the loop's
};

}  // namespace rondo::detail
