// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// as_completed: the elements of a range at once, and how each of them ended, in the order in which
// they end.
//
//     co_await for_each_completed(std::move(downloads), [](completed<page>& c) -> task<> {
//       if (c.result) co_await store(c.index, *c.result);
//     });
//
//     auto stream = as_completed(std::move(downloads));         // the same by hand
//     while (auto c = co_await stream.next()) ...
//     co_await stream.close();
//
// for_each_completed is the safe form: it waits for everybody in any case. A stream that is
// dropped, by an exception for instance, can only cancel its children: they are waited for when the
// line of work that dropped it ends (a group's child, a combinator's, what is under a timeout or a
// shield, a spawned task, the root). Until then they run, so they may use only what outlives that.

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <rondo/compose/completion_block.hpp>
#include <rondo/core/task.hpp>

namespace rondo {

namespace detail {
template <typename R>
class next_completed;
template <typename R>
class close_completed;

struct completion_closer {
  template <typename Block>
  void operator()(Block* block) const noexcept {
    block->drop();
  }
};
template <typename R>
using completion_handle = std::unique_ptr<completion_block<R>, completion_closer>;
}  // namespace detail

/// Starts nothing before the first `next`. A task that has one, in a variable or as an argument, does
/// not count as ended before the children have.
/// Thread: the loop's. One `next` at a time.
template <typename R>
class [[nodiscard("a stream does nothing until next() is awaited")]] completion_stream {
 public:
  template <typename State>
  class [[nodiscard("it does nothing until it is awaited")]] step : public detail::only_in_rondo {
   public:
    using state_type = State;

   private:
    friend completion_stream;
    friend State;
    explicit step(detail::completion_block<R>& block) noexcept : block_(&block) {}
    detail::completion_block<R>* block_;
  };

  completion_stream(R&& range, std::size_t limit)
      : block_(new detail::completion_block<R>(std::forward<R>(range), limit)) {}

  /// Waits until another one has ended. Gives: an optional completed, empty when all have been
  /// given.
  /// Throws: what the range throws. Canceled: nothing is lost; it may be called again.
  auto next() & { return step<detail::next_completed<R>>(*block_); }

  /// Cancels those that still run and waits for their end, whether the task is canceled or not.
  auto close() & { return step<detail::close_completed<R>>(*block_); }

 private:
  detail::completion_handle<R> block_;
};

/// Runs every element of a range at once, or at most `limit` at a time: the next one is started
/// when an end was taken.
template <detail::awaitable_range R>
auto as_completed(R&& range) {
  return completion_stream<R>(std::forward<R>(range), std::numeric_limits<std::size_t>::max());
}
template <detail::awaitable_range R>
auto as_completed(R&& range, max_concurrency limit) {
  if (limit.value == 0) throw std::invalid_argument("max_concurrency{0} would never end");
  return completion_stream<R>(std::forward<R>(range), limit.value);
}

namespace detail {
template <typename R, typename F>
task<> each_completed(completion_stream<R> stream, F f);
}

/// Calls `f(completed<T>&)`, a plain function or one that gives a task, for each end, one at a
/// time. f may take it as `completed<T>` or `completed<T>&&`, too.
///
/// Completes when: all have ended, and f has seen each.
/// Throws: what f throws, after the rest was canceled and has ended; what the range throws.
/// Canceled: cancels and waits for all; f does not see those.
template <detail::awaitable_range R, typename F>
task<> for_each_completed(R&& range, F f) {
  return detail::each_completed<R, F>(as_completed(std::forward<R>(range)), std::move(f));
}
template <detail::awaitable_range R, typename F>
task<> for_each_completed(R&& range, F f, max_concurrency limit) {
  return detail::each_completed<R, F>(as_completed(std::forward<R>(range), limit), std::move(f));
}

template <typename... A>
  requires detail::any_is_kept<A...>
void as_completed(A&&...) {
  detail::must_be_given_away<A...>();
}
template <typename... A>
  requires detail::any_is_kept<A...>
void for_each_completed(A&&...) {
  detail::must_be_given_away<A...>();
}

// Implementation

namespace detail {

template <typename R>
class next_completed : leaf, ready_node, listener {
 public:
  explicit next_completed(
      typename completion_stream<R>::template step<next_completed<R>>&& s) noexcept
      : leaf{&kind}, listener{&next_completed::something}, block_(*s.block_) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    line_ = &line;
    waiter = told;
    if (line.canceled()) [[unlikely]] {
      canceled_ = true;
      line.refuse(*this);
      return true;
    }
    if (!block_.has_begun() && line.loop().stack_is_deep()) [[unlikely]] return put_off();
    block_.begin(line);
    if (block_.has_something()) return line.loop().ready_at_once(*this);
    if (line.canceled()) [[unlikely]] {  // by what was started
      canceled_ = true;
      line.refuse(*this);
      return true;
    }
    line.enter(*this);
    block_.wait(*this);
    return true;
  }
  [[nodiscard]] outcome how() const noexcept {
    return canceled_ ? outcome::canceled : outcome::value;
  }
  std::optional<typename completion_block<R>::value_type> take() {
    if (canceled_) throw operation_canceled();
    return block_.take();
  }

 private:
  /// What is started may start more of this kind: from the ready queue, so that the stack does not
  /// grow with it.
  [[gnu::noinline]] bool put_off() noexcept {
    told_ = waiter;
    notify = &next_completed::begin_now;
    waiter = continuation(static_cast<listener&>(*this));
    is_put_off_ = true;
    line_->enter(*this);
    line_->loop().push(*this);
    return true;
  }
  static void begin_now(listener& self) noexcept {
    auto& n = static_cast<next_completed&>(self);
    n.notify = &next_completed::something;
    n.waiter = n.told_;
    n.is_put_off_ = false;
    if (n.canceled_) return n.line_->loop().complete(n);
    const loop_base::running_in now(n.line_->loop(), *n.line_);
    n.block_.begin(*n.line_);
    if (n.canceled_) return;  // by what was started, and told already
    if (n.block_.has_something()) return something(n);
    n.block_.wait(n);
  }
  static void something(listener& self) noexcept {
    auto& n = static_cast<next_completed&>(self);
    n.line_->leave();
    n.line_->loop().complete(n);
  }
  static void cancel_it(leaf& self) noexcept {
    auto& n = static_cast<next_completed&>(self);
    n.block_.stop_waiting();
    n.canceled_ = true;
    n.line_->leave();
    if (!n.is_put_off_) n.line_->loop().push(n);
  }
  static void show_children(leaf& self, observer& to) {
    auto& state = static_cast<next_completed&>(self);
    state.block_.show_children(to);
  }
  static constexpr leaf_kind kind{"as_completed", &cancel_it, &show_children};

  completion_block<R>& block_;
  scope* line_ = nullptr;
  continuation told_;  // while the start is put off
  bool is_put_off_ = false;
  bool canceled_ = false;
};

/// Releases something, so a cancellation does not reach it.
template <typename R>
class close_completed : place_in_list {
 public:
  explicit close_completed(
      typename completion_stream<R>::template step<close_completed<R>>&& s) noexcept
      : block_(*s.block_) {}

  [[nodiscard]] bool start(scope& line, continuation told) noexcept {
    if (!block_.close()) return false;
    return wait_in(block_.closing(), line, told, kind);
  }
  [[nodiscard]] outcome how() const noexcept { return outcome::value; }
  void take() noexcept { block_.discard(); }

 private:
  static void show_children(leaf& self, observer& to) {
    auto& state = static_cast<close_completed&>(self);
    state.block_.show_children(to);
  }
  static constexpr leaf_kind kind{"closing as_completed", [](leaf&) noexcept {}, &show_children};

  completion_block<R>& block_;
};

template <typename R, typename F>
task<> each_completed(completion_stream<R> stream, F f) {
  std::exception_ptr failure;
  try {
    for (;;) {
      auto end = co_await stream.next();
      if (!end) break;
      // The lvalue, for those who take a reference to it, or copy; else it is given away.
      using one = typename decltype(end)::value_type;
      using given = std::conditional_t<std::invocable<F&, one&>, one&, one&&>;
      if constexpr (awaitable<std::invoke_result_t<F&, given>>) {
        co_await std::invoke(f, static_cast<given>(*end));
      } else {
        std::invoke(f, static_cast<given>(*end));
      }
    }
  } catch (...) {
    failure = std::current_exception();
  }
  co_await stream.close();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace detail
}  // namespace rondo
