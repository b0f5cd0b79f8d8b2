// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What is behind a stream of completions: a range, and its children while they run.
//
// The block lives until its children have ended, with or without its stream. Each child has a lane:
// it is pulled from the range, runs, ends, waits in a list until somebody takes its end, and the
// lane goes on with the next one. Pulling runs the user's code, so it happens where an end is
// taken.
//
//   empty -> running -> ended -> taken -> running ...

#include <algorithm>
#include <cstddef>
#include <exception>
#include <iterator>
#include <limits>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <utility>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/given_range.hpp>
#include <rondo/compose/lanes.hpp>
#include <rondo/core/context.hpp>
#include <rondo/core/wait_list.hpp>
#include <rondo/detail/slots.hpp>

namespace rondo {

/// How one element of a range ended.
template <typename T>
struct completed {
  std::size_t index;  // in the range
  rondo::result<T> result;
};

namespace detail {

template <typename R>
class completion_block : listener, ready_node, public orphan {
  using element = element_of<R>;
  using state_type = state_for<element>;

  struct lane : listener, list_hook {
    explicit lane(completion_block& b) noexcept : listener{&lane::ended}, block(b) {}
    static void ended(listener& self) noexcept {
      auto& l = static_cast<lane&>(self);
      l.line.end();
      if (l.line.loop().defer_end(l.line, l)) return;
      l.block.ended(l);
    }
    completion_block& block;
    scope line;
    std::optional<state_type> state;
    std::size_t index = 0;
  };

 public:
  using value_type = completed<await_result_t<element>>;

  completion_block(R&& range, std::size_t limit)
      : listener{&completion_block::let_go},
        range_(std::forward<R>(range)),
        next_(std::begin(range_)),
        lanes_(lanes_needed(range_, limit)) {
    waiter = continuation(static_cast<listener&>(*this));
    while (!lanes_.full()) lanes_.emplace_back(*this);
  }

  [[nodiscard]] bool has_begun() const noexcept { return loop_ != nullptr; }
  /// Starts the first elements, if nothing was started yet, in lines of their own.
  void begin(scope& line) noexcept {
    if (loop_ != nullptr) return;
    loop_ = &line.loop();
    context_ = context_holder::share(line.context());
    for (lane& l : lanes_) pull(l);
  }

  [[nodiscard]] bool has_something() const noexcept {
    return !ended_.empty() || running_ == 0 || error_;
  }

  /// Takes the first end, and lets its lane go on.
  std::optional<value_type> take() {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    if (ended_.empty()) return std::nullopt;
    const going_on taken{*this, ended_.pop_front()};
    return value_type{taken.l.index, take_result(*taken.l.state)};
  }

  /// No more elements, and those that run are canceled.
  void cancel() noexcept {
    exhausted_ = true;
    for (lane& l : lanes_) {
      if (l.state) l.line.cancel();
    }
  }
  void show_children(observer& to) {
    for (const lane& l : lanes_) {
      if (l.state && !l.line.ended()) to.child(l.line);
    }
  }
  /// What nobody will take any more.
  void discard() noexcept {
    while (!ended_.empty()) {
      lane& l = ended_.pop_front();
      if (l.state->how() == outcome::error) {
        loop_->report(
            {unhandled_error::kind::suppressed, {}, take_result(*l.state).exception(), {}});
      }
      l.state.reset();
    }
  }

  /// `w` is told once something is there.
  void wait(listener& w) noexcept {
    RONDO_ASSERT(waiting_ == nullptr, "a second next() on a stream while one is awaited");
    waiting_ = &w;
  }
  void stop_waiting() noexcept { waiting_ = nullptr; }

  /// Cancels those that run. True: some have not ended yet. Whoever waits for something is told by
  /// the first that ends.
  [[nodiscard]] bool close() noexcept {
    cancel();
    return running_ != 0;
  }
  /// Those who wait until all have.
  [[nodiscard]] wait_list& closing() noexcept { return closing_; }

  /// The stream is gone.
  void drop() noexcept {
    if (running_ == 0) {
      discard();
      delete this;
      return;
    }
    dropped_ = true;
    cancel();
    loop_->leave_behind(*this);
  }

 private:
  /// The lane of an end that was taken, also if moving that has thrown.
  struct going_on {
    completion_block& block;
    lane& l;
    ~going_on() {
      l.state.reset();
      block.pull(l);
    }
  };

  ~completion_block() {
    if (exhausted_) drop_the_rest<R>(range_);
  }

  static std::size_t lanes_needed(std::remove_reference_t<R>& range, std::size_t limit) {
    if constexpr (std::ranges::sized_range<R>) {
      return std::min<std::size_t>(limit, std::ranges::size(range));
    } else if constexpr (std::ranges::forward_range<R>) {
      std::size_t n = 0;
      for (auto it = std::begin(range); n < limit && it != std::end(range); ++it) ++n;
      return n;
    } else {
      if (limit != std::numeric_limits<std::size_t>::max()) return limit;
      throw std::invalid_argument(
          "as_completed needs to know how many there are: collect them in a vector, or give "
          "max_concurrency");
    }
  }

  /// Starts the next element, if there is one, in this lane.
  void pull(lane& l) noexcept {
    try {
      if (exhausted_ || next_ == std::end(range_)) return;
      l.state.emplace(static_cast<element>(*next_));
      l.index = pulled_++;
      ++next_;
    } catch (...) {
      l.state.reset();
      error_ = std::current_exception();
      exhausted_ = true;
      return;
    }
    l.line.open(*loop_);
    l.line.set_context(context_.get());
    const loop_base::running_in now(*loop_, l.line);
    ++running_;
    if (!l.state->start(l.line, static_cast<listener&>(l))) l.notify(l);
    loop_->settle();
  }

  void ended(lane& l) noexcept {
    --running_;
    ended_.push_back(l);
    if (dropped_) {
      if (running_ == 0) loop_->push(*this);  // the last one's code is still on the stack
      return;
    }
    if (waiting_ != nullptr) {
      listener& w = *std::exchange(waiting_, nullptr);
      w.notify(w);
    }
    if (running_ == 0) closing_.wake_all();
  }
  static void let_go(listener& self) noexcept {
    auto& block = static_cast<completion_block&>(self);
    block.discard();
    loop_base& loop = *block.loop_;
    loop.orphan_ended(block);
    delete &block;
  }

  R range_;
  std::ranges::iterator_t<std::remove_reference_t<R>> next_;
  slots<lane> lanes_;
  intrusive_list<lane> ended_;  // and nobody has taken them
  loop_base* loop_ = nullptr;   // null: nothing was started yet
  context_holder context_;
  listener* waiting_ = nullptr;  // for something
  wait_list closing_;            // for the end of all
  std::exception_ptr error_;    // of the range
  std::size_t running_ = 0;
  std::size_t pulled_ = 0;
  bool exhausted_ = false;
  bool dropped_ = false;
};

}  // namespace detail
}  // namespace rondo
