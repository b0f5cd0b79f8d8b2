// SPDX-License-Identifier: BSL-1.0
#pragma once

// Asio's coroutines as they are fastest on one thread: the executor known at compile time, so that
// nothing is erased, and no locks.

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>

#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace peer {

using executor = asio::io_context::executor_type;

template <typename T>
using task = asio::awaitable<T, executor>;

inline constexpr asio::use_awaitable_t<executor> use_awaitable;

inline asio::io_context& context() {
  static asio::io_context only(ASIO_CONCURRENCY_HINT_UNSAFE);
  return only;
}

/// main() of a question that is one task.
inline int run(task<int> root) {
  asio::co_spawn(context(), std::move(root), [](std::exception_ptr error, int) {
    if (error) std::rethrow_exception(error);
  });
  context().run();
  return 0;
}

/// A range of tasks at once, their results in order. Asio 1.22 has this for a fixed number alone.
template <typename T>
auto when_all(std::vector<task<T>> children) {
  struct waiting {
    std::vector<T> results;
    std::size_t left;
  };
  return asio::async_initiate<const asio::use_awaitable_t<executor>, void(std::vector<T>)>(
      [](auto handler, std::vector<task<T>> tasks) {
        using handler_type = decltype(handler);
        struct all : waiting {
          handler_type done;
        };
        const auto shared = std::make_shared<all>(
            all{{std::vector<T>(tasks.size()), tasks.size()}, std::move(handler)});
        for (std::size_t i = 0; i < tasks.size(); ++i) {
          asio::co_spawn(context(), std::move(tasks[i]), [shared, i](std::exception_ptr, T value) {
            shared->results[i] = value;
            if (--shared->left == 0) shared->done(std::move(shared->results));
          });
        }
      },
      use_awaitable, std::move(children));
}

/// Two tasks at once.
inline task<void> both(task<void> a, task<void> b) {
  using namespace asio::experimental::awaitable_operators;
  co_await (std::move(a) && std::move(b));
}

}  // namespace peer
