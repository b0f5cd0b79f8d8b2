// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A transaction around a function that gives a task: what `connection::transaction` does.
//
//     begin -> body -> value              -> commit, which a cancellation only gives a limit
//                   -> error              -> rollback, out of reach of a cancellation
//                   -> canceled           -> rollback, likewise
//
// One inside another is a savepoint.

#include <chrono>
#include <concepts>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/combinator.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/compose/when_all.hpp>
#include <rondo/compose/when_any.hpp>
#include <rondo/core/task.hpp>
#include <rondo/postgres/session.hpp>
#include <rondo/sync/event.hpp>
#include <rondo/time/sleep.hpp>
#include <rondo/time/timeout.hpp>

namespace rondo::postgres {

class connection;

namespace detail {

template <typename F, typename... Args>
concept transaction_body = std::invocable<F&, connection&, Args...> || std::invocable<F&, Args...>;

/// The body is given the connection, if it takes one.
template <typename F, typename... Args>
auto call_body(F& body, connection& c, Args&... args) {
  if constexpr (std::invocable<F&, connection&, Args...>) {
    return std::invoke(body, c, std::move(args)...);
  } else {
    return std::invoke(body, std::move(args)...);
  }
}
template <typename F, typename... Args>
using body_result = await_result_t<decltype(call_body(
    std::declval<F&>(), std::declval<connection&>(), std::declval<Args&>()...))>;

/// The statements around a transaction, or around one inside another.
class bracket {
 public:
  explicit bracket(session& s) : session_(s), name_("rondo_" + std::to_string(s.depth++)) {}
  bracket(const bracket&) = delete;
  bracket& operator=(const bracket&) = delete;
  ~bracket() { --session_.depth; }

  [[nodiscard]] task<> open() {
    if (session_.is_left()) {
      const session::turn mine(session_);
      co_await session_.begin();
    }
    outermost_ = PQtransactionStatus(session_.native()) == PQTRANS_IDLE;
    co_await session_.execute(request(opening()));
  }
  /// Canceled: the server has been told, and is waited for within cancel_timeout; then the
  /// connection is ended.
  /// Throws: error; also when the server has rolled back instead, since a statement had failed and
  /// the body has gone on.
  [[nodiscard]] task<> commit() {
    event closed;
    co_await when_all(shield(close(closed)), limit_when_canceled(closed));
  }
  /// What cannot be rolled back, within cancel_timeout, is ended with its connection.
  [[nodiscard]] task<> roll_back() {
    try {
      if (session_.is_broken() || PQtransactionStatus(session_.native()) == PQTRANS_IDLE) co_return;
      co_await when_any(session_.execute(request(undoing())), break_off_in_time());
    } catch (const std::exception&) {
      session_.break_off();
    }
  }

 private:
  struct on_exit {
    event& tell;
    explicit on_exit(event& e) noexcept : tell(e) {}
    on_exit(const on_exit&) = delete;
    on_exit& operator=(const on_exit&) = delete;
    ~on_exit() { tell.set(); }
  };
  [[nodiscard]] task<> close(event& closed) {
    const on_exit guard(closed);
    const bool was_broken = session_.is_broken();
    rows done;
    try {
      done = co_await session_.execute(request(closing()));
    } catch (const error& e) {
      if (was_broken || e.kind() != error_kind::connection_lost) throw;
      throw lost(e);
    }
    if (done.command() != "ROLLBACK") co_return;
    error_fields fields;
    fields.sqlstate = sqlstate::in_failed_transaction;
    fields.message = "rolled back: a statement in the transaction had failed before";
    throw error(error_kind::statement_failed, std::move(fields), "commit");
  }
  /// The connection went away after the server had been told. A lost savepoint was not committed,
  /// because what is around it was not.
  [[nodiscard]] error lost(const error& how) const {
    error_fields fields;
    fields.sqlstate = sqlstate::connection_lost;
    fields.message = given_up_ ? "canceled, and the server did not answer within cancel_timeout"
                               : how.message();
    if (outermost_) {
      fields.sqlstate = sqlstate::transaction_resolution_unknown;
      fields.message += "; whether the transaction was committed is unknown";
    }
    return error(error_kind::connection_lost, std::move(fields), how.statement());
  }
  [[nodiscard]] task<> limit_when_canceled(event& closed) {
    const auto end = co_await as_result(closed.wait());
    if (end) co_return;
    const bool in_time = co_await shield(try_for(session_.cancel_timeout, closed.wait()));
    if (in_time) co_return;
    given_up_ = true;
    session_.break_off();
  }
  /// Only what it ends does end, with an error.
  [[nodiscard]] task<> break_off_in_time() {
    co_await sleep_for(session_.cancel_timeout);
    session_.break_off();
    co_await sleep_for(std::chrono::nanoseconds::max());
  }
  // Not in the await itself, where GCC 12 would destroy what ?: gives twice.
  [[nodiscard]] std::string opening() const { return outermost_ ? "begin" : "savepoint " + name_; }
  [[nodiscard]] std::string closing() const {
    return outermost_ ? "commit" : "release savepoint " + name_;
  }
  [[nodiscard]] std::string undoing() const {
    return outermost_ ? "rollback"
                      : "rollback to savepoint " + name_ + "; release savepoint " + name_;
  }

  session& session_;
  std::string name_;
  bool outermost_ = true;
  bool given_up_ = false;
};

template <typename F, typename... Args>
task<body_result<F, Args...>> run_transaction(session& s, connection& c, F body, Args... args) {
  using value_type = body_result<F, Args...>;
  std::optional<rondo::detail::slot<value_type>> value;
  std::exception_ptr failure;
  bracket around(s);
  co_await around.open();
  try {
    auto work = call_body(body, c, args...);
    if constexpr (std::is_void_v<value_type>) {
      co_await std::move(work);
    } else {
      value.emplace(co_await std::move(work));
    }
    const bool canceled = co_await cancellation_requested();
    if (canceled) co_await checkpoint();
    co_await around.commit();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    co_await shield(around.roll_back());
    std::rethrow_exception(failure);
  }
  if constexpr (std::is_reference_v<value_type>) {
    co_return value->get();
  } else if constexpr (!std::is_void_v<value_type>) {
    co_return std::move(*value);
  }
}

}  // namespace detail
}  // namespace rondo::postgres
