// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A session is a connection as the rest of this folder sees it: who may use it, and what one asks
// of it.
//
//   idle        nothing under way
//   in turn     one user at a time, who holds a `turn`
//   left        under way, and nobody waits for it: recover() makes it idle (recovery.hpp); whoever
//               takes a turn meanwhile waits for that
//   broken      for ever: lost, or given up

#include <atomic>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/core/context.hpp>
#include <rondo/core/task.hpp>
#include <rondo/postgres/error.hpp>
#include <rondo/postgres/libpq.hpp>
#include <rondo/postgres/recovery.hpp>
#include <rondo/postgres/rows.hpp>
#include <rondo/postgres/statement.hpp>

namespace rondo::postgres::detail {

/// A transaction that is open; see transaction.hpp. Numbers grow, so what is in one is in those,
/// too, that are still open and have a smaller number.
struct open_transaction {
  std::uint64_t number = 0;
  open_transaction* around = nullptr;  // the next one outwards
  unsigned depth = 0;                  // how many there are
};

class session : public recoverable {
 public:
  using recoverable::recoverable;
  ~session() {
    RONDO_ASSERT(!in_turn_, "a postgres::connection was destroyed before a stream of it");
  }

  /// The one that has something under way. Throws: std::logic_error when there is one already, or
  /// another task has a transaction open.
  class turn {
   public:
    explicit turn(session& s) : turn(s, s.transaction_of_task.get()) {}
    turn(session& s, std::uint64_t in_transaction) : session_(&s) { s.begin_turn(in_transaction); }
    turn(turn&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
    turn& operator=(turn&&) = delete;
    ~turn() {
      if (session_ != nullptr) session_->end_turn();
    }

   private:
    session* session_;
  };

  [[nodiscard]] bool in_turn() const noexcept { return in_turn_; }
  [[nodiscard]] bool is_idle() const noexcept {
    return !in_turn_ && !is_polled() && !is_left() && !is_broken() &&
           PQtransactionStatus(native()) == PQTRANS_IDLE &&
           PQpipelineStatus(native()) == PQ_PIPELINE_OFF;
  }

  /// For who begins something: in a canceled task that ends here; what somebody left is recovered.
  /// Throws: error when the connection is lost.
  [[nodiscard]] task<> begin();

  /// Breaks it off, and waits until nobody waits for it.
  [[nodiscard]] task<> close();

  /// Sends a statement, and waits for its last result. Within a turn.
  /// Canceled: the server is asked to stop; if it had done the work by then, that counts.
  [[nodiscard]] task<result_handle> exchange(const request& r);
  /// The same for COPY, up to where its data begin.
  [[nodiscard]] task<> start_copy(const request& r, ExecStatusType direction);
  /// One statement, from its sending to its rows. Of a transaction's own: its number.
  [[nodiscard]] task<rows> execute(request r, std::optional<std::uint64_t> in_transaction = {});
  [[nodiscard]] task<statement> prepare(std::string sql);
  /// What a result means: rows, or an exception.
  rows checked(result_handle result, std::string sql);

  // The innermost transaction that is open, and the number of the one that a task is in; 0: none.
  open_transaction* innermost = nullptr;
  context_var<std::uint64_t> transaction_of_task;

 private:
  void begin_turn(std::uint64_t in_transaction) {
    if (innermost != nullptr && innermost->number > in_transaction) {
      throw std::logic_error(
          "rondo: a postgres::connection was used while another task has a transaction open on it; "
          "use a connection of its own, from a postgres::pool");
    }
    if (in_turn_) {
      throw std::logic_error(
          "rondo: a postgres::connection does one thing at a time; use a postgres::pool, or a "
          "pipeline");
    }
    in_turn_ = true;
  }
  void end_turn() noexcept {
    in_turn_ = false;
    tell_change();
  }

  bool in_turn_ = false;
  // In no name that another connection knows, so that nothing else is executed there by mistake.
  static inline std::atomic<std::uint64_t> last_statement{0};
};

// Implementation

inline task<> session::begin() {
  if (is_broken()) throw error_now("");
  const bool canceled = co_await cancellation_requested();
  if (canceled) co_await checkpoint();
  co_await settle();
  if (is_broken()) throw error_now("");
}

inline task<> session::close() {
  break_off();
  while (is_polled()) co_await change();
}

inline task<result_handle> session::exchange(const request& r) {
  if (is_left() || is_broken()) {
    co_await begin();
  } else {
    const bool canceled = co_await cancellation_requested();
    if (canceled) co_await checkpoint();
  }
  expect(r.send(native(), false) == 1, r.sql());
  result_handle last;
  bool canceled = false;
  try {
    co_await answer(last);
  } catch (const operation_canceled&) {
    canceled = true;
    leave();
  } catch (...) {
    leave();
    throw;
  }
  if (canceled) last = co_await recover_answer(std::move(last));
  co_return last;
}

inline task<rows> session::execute(request r, std::optional<std::uint64_t> in_transaction) {
  const turn mine(*this, in_transaction.value_or(transaction_of_task.get()));
  result_handle last = co_await exchange(r);
  co_return checked(std::move(last), r.take_sql());
}

inline task<statement> session::prepare(std::string sql) {
  const turn mine(*this);
  const std::string name = "rondo_" + std::to_string(++last_statement);
  request r = request::to_prepare(name, std::move(sql));
  result_handle last = co_await exchange(r);
  checked(std::move(last), r.sql());
  co_return r.take_statement();
}

inline task<> session::start_copy(const request& r, ExecStatusType direction) {
  result_handle last = co_await exchange(r);
  const ExecStatusType status = PQresultStatus(last.get());
  if (status == direction) co_return;
  const bool canceled = co_await cancellation_requested();
  const rows done = checked(std::move(last), r.sql());
  if (canceled) throw operation_canceled();  // it was ended, with success
  throw std::logic_error(direction == PGRES_COPY_IN
                             ? "rondo: copy_in is for COPY ... FROM STDIN, not for: " + r.sql()
                             : "rondo: copy_out is for COPY ... TO STDOUT, not for: " + r.sql());
}

inline rows session::checked(result_handle result, std::string sql) {
  switch (result ? PQresultStatus(result.get()) : PGRES_FATAL_ERROR) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_EMPTY_QUERY:
      return rows::adopt(result.release());
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      leave();
      throw std::logic_error("rondo: COPY is for copy_in and copy_out, not for query: " + sql);
    case PGRES_PIPELINE_ABORTED:
      throw error(error_kind::skipped, {}, std::move(sql));
    default:
      break;
  }
  if (!result) throw error_now(std::move(sql));
  error_fields fields = fields_of(result.get());
  if (!is_broken()) throw error(error_kind::statement_failed, std::move(fields), std::move(sql));
  if (fields.sqlstate.empty()) fields.sqlstate = sqlstate::connection_lost;
  throw error(error_kind::connection_lost, std::move(fields), std::move(sql));
}

}  // namespace rondo::postgres::detail
