// SPDX-License-Identifier: BSL-1.0
#pragma once

// Waits that a test starts, cancels and looks at step by step, on a loop without a kernel.
//
//     manual_loop loop;
//     mutex m;
//     auto held = m.try_lock();
//     waiting first(loop, m.lock());            // told by a call, as a combinator's child is
//     waiting second(loop, in_task(m.lock()));  // told through the ready queue, as a task is
//     held->release();
//     CHECK(first.done());

#include <exception>
#include <rondo/sync/mutex.hpp>
#include <string>
#include <utility>
#include <vector>

#include "support/helpers.hpp"

namespace rondo::test {

/// Says that a line is canceled before anything starts in it.
inline constexpr struct in_canceled_t {
} in_canceled;

/// Starts something at once, as a line of work of its own.
template <typename A>
class waiting {
 public:
  waiting(manual_loop& loop, A&& awaitable) : root_(loop, std::forward<A>(awaitable)) {
    root_.start();
  }
  waiting(manual_loop& loop, A&& awaitable, in_canceled_t)
      : root_(loop, std::forward<A>(awaitable)) {
    root_.line.cancel();
    root_.start();
  }
  void cancel() { root_.line.cancel(); }
  [[nodiscard]] bool done() const { return root_.done(); }
  decltype(auto) take() { return root_.take(); }
  /// Whether it ended as canceled; otherwise its value is taken and dropped.
  [[nodiscard]] bool was_canceled() {
    try {
      static_cast<void>(take());
      return false;
    } catch (const operation_canceled&) {
      return true;
    }
  }

 private:
  manual_loop::root<A> root_;
};
template <typename A>
waiting(manual_loop&, A&&) -> waiting<A>;
template <typename A>
waiting(manual_loop&, A&&, in_canceled_t) -> waiting<A>;

template <typename A>
task<await_result_t<A>> in_task(A awaitable) {
  co_return co_await std::move(awaitable);
}

inline bool is_free(mutex& m) { return m.try_lock().has_value(); }

/// Appends a letter when it has what it waits for.
template <typename A>
task<> notes(A awaitable, char letter, std::string& log) {
  static_cast<void>(co_await std::move(awaitable));
  log += letter;
}

}  // namespace rondo::test
