// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// finally: work, and what is to happen after it in any case. C++ allows no co_await in a catch
// block or a destructor; this is what takes the place of asyncio's `finally: await ...`.
//
//     co_await finally(transfer(connection), connection.close());
//     co_await finally(work(lock), release, lock);          // a function, and arguments for it
//
// The cleanup runs in a shield: after a value, after an error, and after a cancellation.

#include <exception>
#include <functional>
#include <optional>
#include <type_traits>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/combinator.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/core/closure.hpp>
#include <rondo/core/task.hpp>

namespace rondo {

namespace detail {
template <typename Body, typename F, typename... Args>
task<await_result_t<Body>> run_finally(Body body, F cleanup, Args... args);
}

/// Awaits `body`, then `cleanup`: something awaitable, or a function and its arguments (copied),
/// which may give a task. If `finally` itself is never awaited, neither runs.
///
/// Gives: what body gives.
/// Throws: body's error; then an error of the cleanup is reported as suppressed. The cleanup's
/// error, if body gave a value or was canceled.
/// Canceled: body is; the cleanup is not. One coroutine frame.
template <awaitable Body, awaitable Cleanup>
auto finally(Body&& body, Cleanup&& cleanup) {
  return detail::run_finally<Body, Cleanup>(std::forward<Body>(body),
                                            std::forward<Cleanup>(cleanup));
}
template <awaitable Body, typename F, typename... Args>
  requires(!awaitable<F> && std::invocable<std::decay_t<F>&, std::decay_t<Args>...>)
auto finally(Body&& body, F&& cleanup, Args&&... args) {
  detail::mind_closure<F>();
  return detail::run_finally<Body, std::decay_t<F>, std::decay_t<Args>...>(
      std::forward<Body>(body), std::forward<F>(cleanup), std::forward<Args>(args)...);
}

// Implementation

namespace detail {

template <typename Body, typename F, typename... Args>
task<await_result_t<Body>> run_finally(Body body, F cleanup, Args... args) {
  using value_type = await_result_t<Body>;
  Body&& work = static_cast<Body&&>(body);  // GCC 12 would move a parameter into the expression
  F&& after = static_cast<F&&>(cleanup);

  std::optional<slot<value_type>> value;
  std::exception_ptr failure;
  try {
    if constexpr (std::is_void_v<value_type>) {
      co_await static_cast<Body&&>(work);
    } else {
      value.emplace(co_await static_cast<Body&&>(work));
    }
  } catch (...) {
    failure = std::current_exception();
  }

  // Asked now, because a cancellation that comes during the cleanup is not why the body ended.
  const bool in_canceled_line = co_await cancellation_requested();
  const bool canceled = failure && in_canceled_line && is_cancellation(failure);

  std::exception_ptr cleanup_failure;
  try {
    if constexpr (awaitable<F>) {
      co_await shield(static_cast<F&&>(after));
    } else if constexpr (awaitable<std::invoke_result_t<F&, Args...>>) {
      auto called = std::invoke(after, std::move(args)...);
      co_await shield(std::move(called));
    } else {
      std::invoke(after, std::move(args)...);
    }
  } catch (...) {
    cleanup_failure = std::current_exception();
  }

  if (failure) {
    if (!canceled || !cleanup_failure) {
      if (cleanup_failure) {
        running_loop->report({unhandled_error::kind::suppressed, {}, cleanup_failure, {}});
      }
      std::rethrow_exception(failure);
    }
  }
  if (cleanup_failure) std::rethrow_exception(cleanup_failure);
  if constexpr (std::is_reference_v<value_type>) {
    co_return value->get();
  } else if constexpr (!std::is_void_v<value_type>) {
    co_return std::move(*value);
  }
}

}  // namespace detail
}  // namespace rondo
