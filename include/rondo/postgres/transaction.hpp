// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A transaction around a function that gives a task: what `connection::transaction` does.
//
//     begin -> body -> value              -> commit, which a cancellation only gives a limit
//                   -> error              -> rollback, out of reach of a cancellation
//                   -> canceled           -> rollback, likewise
//
// One inside another is a savepoint. The server has one transaction for each connection, whoever
// speaks, so two tasks that began one each would undo each other's work, and that of those who only
// send a statement. They are told apart by their context: what a body awaits, starts or spawns sees
// the number of its transaction there, and who does not see that of the innermost one is refused.

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/combinator.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/compose/when_all.hpp>
#include <rondo/compose/when_any.hpp>
#include <rondo/compose/with_context.hpp>
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
class bracket : open_transaction {
 public:
  explicit bracket(session& s) noexcept : session_(s) {}
  bracket(const bracket&) = delete;
  bracket& operator=(const bracket&) = delete;
  /// Not always the innermost one: a task that was spawned in it may have begun one, and be late.
  ~bracket() {
    for (open_transaction** at = &session_.innermost; *at != nullptr; at = &(*at)->around) {
      if (*at != this) continue;
      *at = around;
      return;
    }
  }

  /// What the context of all that is in it has for session::transaction_of_task.
  using open_transaction::number;

  /// Throws: std::logic_error for who is not in the innermost one.
  [[nodiscard]] task<> open() {
    const std::uint64_t mine = co_await session_.transaction_of_task;
    open_transaction* const innermost = session_.innermost;
    if (innermost != nullptr && innermost->number > mine) {
      throw std::logic_error(
          "rondo: a transaction was begun while another task has one open on the connection; use "
          "a connection of its own, from a postgres::pool");
    }
    around = innermost;
    if (around != nullptr) depth = around->depth + 1;
    number = ++last_number;
    session_.innermost = this;
    co_await settle();
    outermost_ = is_over();
    if (outermost_ && around != nullptr) throw over();
    co_await tell(opening());
  }
  /// Canceled: the server has been told, and is waited for within cancel_timeout; then the
  /// connection is ended.
  /// Throws: error; also when the server has rolled back instead, since a statement had failed and
  /// the body has gone on. std::logic_error when another one in it is open, or it is over already.
  [[nodiscard]] task<> commit() {
    event closed;
    co_await when_all(shield(close(closed)), limit_when_canceled(closed));
  }
  /// What cannot be rolled back, within cancel_timeout, is ended with its connection. So is what
  /// has another one in it that is open, since that one's statements would be carried out for good.
  /// That it is over already, and not by its commit, is reported as suppressed: what there is to be
  /// undone for is thrown.
  [[nodiscard]] task<> roll_back() {
    bool undone = true;
    try {
      if (session_.innermost != this) session_.break_off();
      if (session_.is_broken()) co_return;
      const auto first = co_await when_any(undo(), break_off_in_time());
      undone = std::get<0>(first);
    } catch (const std::exception&) {
      session_.break_off();
    }
    if (undone) co_return;
    rondo::detail::running_loop->report(
        {unhandled_error::kind::suppressed, {}, std::make_exception_ptr(over()), {}});
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
    if (session_.innermost != this) {
      throw std::logic_error("rondo: a transaction has ended before one that was begun in it");
    }
    co_await settle();
    if (is_over()) {
      told_ = true;
      throw over();
    }
    const bool was_broken = session_.is_broken();
    rows done;
    told_ = true;
    try {
      done = co_await tell(closing());
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
  /// False: there is no transaction to undo.
  [[nodiscard]] task<bool> undo() {
    co_await settle();
    if (is_over()) co_return told_;
    co_await tell(undoing());
    co_return true;
  }
  /// Whoever's task this is.
  [[nodiscard]] task<rows> tell(std::string statement) {
    return session_.execute(request(std::move(statement)), number);
  }
  /// What somebody left comes to its end first: only then is it known what has become of the
  /// transaction.
  [[nodiscard]] task<> settle() {
    if (!session_.is_left()) co_return;
    const session::turn mine(session_, number);
    co_await session_.begin();
  }
  [[nodiscard]] bool is_over() const noexcept {
    return !session_.is_broken() && PQtransactionStatus(session_.native()) == PQTRANS_IDLE;
  }
  static std::logic_error over() {
    return std::logic_error(
        "rondo: a transaction has ended before its body; leave its commit and its rollback to "
        "postgres::connection::transaction");
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
  [[nodiscard]] std::string opening() const { return outermost_ ? "begin" : "savepoint " + name(); }
  [[nodiscard]] std::string closing() const {
    return outermost_ ? "commit" : "release savepoint " + name();
  }
  [[nodiscard]] std::string undoing() const {
    return outermost_ ? "rollback"
                      : "rollback to savepoint " + name() + "; release savepoint " + name();
  }
  [[nodiscard]] std::string name() const { return "rondo_" + std::to_string(depth); }

  // Of all connections, so that who still has the number of one that is gone is in none.
  static inline std::atomic<std::uint64_t> last_number{0};

  session& session_;
  bool outermost_ = true;
  bool told_ = false;  // the server, to commit, or the caller, that it has done so
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
    auto work = with_context(s.transaction_of_task, around.number, call_body(body, c, args...));
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
