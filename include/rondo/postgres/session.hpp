// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A session is a connection as the rest of this folder sees it: the wire, and who may use it.
//
// Somebody who does not stay to the end (canceled, or a stream that was dropped) *leaves* the
// session: the server is asked to stop, and who comes next first *recovers* it, by reading what
// is still under way. If that takes longer than the limit, the connection is given up.
//
//   idle        nothing under way
//   in turn     one user at a time, who holds a `turn`
//   left        under way, and nobody waits for it: recover() makes it idle; whoever takes a turn
//               meanwhile waits for that
//   broken      for ever: lost, or given up

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/compose/when_any.hpp>
#include <rondo/core/context.hpp>
#include <rondo/core/task.hpp>
#include <rondo/postgres/cancel_request.hpp>
#include <rondo/postgres/error.hpp>
#include <rondo/postgres/libpq.hpp>
#include <rondo/postgres/rows.hpp>
#include <rondo/postgres/statement.hpp>
#include <rondo/postgres/wire.hpp>
#include <rondo/time/sleep.hpp>
#include <rondo/time/timeout.hpp>

namespace rondo::postgres::detail {

/// A transaction that is open; see transaction.hpp. Numbers grow, so what is in one is in those,
/// too, that are still open and have a smaller number.
struct open_transaction {
  std::uint64_t number = 0;
  open_transaction* around = nullptr;  // the next one outwards
  unsigned depth = 0;                  // how many there are
};

class session : public wire {
 public:
  using wire::wire;
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
  [[nodiscard]] bool is_left() const noexcept { return left_; }
  [[nodiscard]] bool is_idle() const noexcept {
    return !in_turn_ && !is_polled() && !left_ && !is_broken() &&
           PQtransactionStatus(native()) == PQTRANS_IDLE &&
           PQpipelineStatus(native()) == PQ_PIPELINE_OFF;
  }

  /// For who begins something: in a canceled task that ends here; what somebody left is recovered.
  /// Throws: error when the connection is lost.
  [[nodiscard]] task<> begin();

  /// Somebody goes away in the middle: the server is asked to stop.
  void leave() noexcept;
  /// Waits for the end of what was left, and gives the last result; null when there was none any
  /// more, or the connection was given up, because it took longer than the limit.
  [[nodiscard]] task<result_handle> recover();
  /// The rest of an answer() that was canceled, and left: how the work has ended all the same.
  /// `last`: what had come by then. Throws: operation_canceled when the work was not done.
  [[nodiscard]] task<result_handle> recover_answer(result_handle last);
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
  void expect(bool sent, const std::string& sql) {
    if (!sent) throw error_now(sql);
  }

  // A pipeline's synchronisation points: how many are under way, and whether the last statement is
  // before one.
  void sync();
  void synced() noexcept { --syncs_; }
  void not_synced() noexcept { unsynced_ = true; }
  [[nodiscard]] bool is_synced() const noexcept { return !unsynced_; }
  [[nodiscard]] std::size_t syncs() const noexcept { return syncs_; }

  std::chrono::nanoseconds cancel_timeout = std::chrono::seconds(5);

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
  class recovering {
   public:
    explicit recovering(session& s) noexcept : session_(s) { s.recovering_ = true; }
    recovering(const recovering&) = delete;
    recovering& operator=(const recovering&) = delete;
    ~recovering() {
      session_.recovering_ = false;
      session_.tell_change();
    }

   private:
    session& session_;
  };
  [[nodiscard]] task<result_handle> drain();
  [[nodiscard]] task<> insist();
  [[nodiscard]] task<result_handle> stop_and_drain();
  [[nodiscard]] task<> drain_copy_out();

  bool in_turn_ = false;
  bool left_ = false;
  bool recovering_ = false;
  bool unsynced_ = false;
  std::size_t syncs_ = 0;
  unsigned statements_ = 0;                  // prepared so far
  std::optional<oneshot<>> cancel_request_;  // under way
};

// Implementation

inline task<> session::begin() {
  if (is_broken()) throw error_now("");
  const bool canceled = co_await cancellation_requested();
  if (canceled) co_await checkpoint();
  while (recovering_) co_await change();
  if (left_) co_await recover();
  if (is_broken()) throw error_now("");
}

inline void session::leave() noexcept {
  left_ = true;
  if (is_broken()) return;
  try {
    cancel_request_ = request_cancel(native());
  } catch (...) {
    break_off();
  }
}

inline task<> session::drain_copy_out() {
  for (;;) {
    char* text = nullptr;
    const int size = PQgetCopyData(native(), &text, 1);
    const libpq_handle<char> owner(text);
    if (size < 0) co_return;
    if (size > 0) continue;
    co_await until_read();
    if (is_broken()) co_return;
  }
}

inline task<result_handle> session::drain() {
  if (unsynced_) sync();
  result_handle last;
  for (;;) {
    if (!is_ready()) co_await until_ready();
    result_handle next(PQgetResult(native()));
    if (!next) {
      if (syncs_ == 0 || is_broken()) break;
      continue;
    }
    last = std::move(next);
    switch (PQresultStatus(last.get())) {
      case PGRES_PIPELINE_SYNC:
        synced();
        break;
      case PGRES_COPY_IN:
      case PGRES_COPY_BOTH:
        if (PQputCopyEnd(native(), "given up by the client") < 0) lose();
        co_await until_sent();
        break;
      case PGRES_COPY_OUT:
        co_await drain_copy_out();
        break;
      default:
        break;
    }
  }
  co_return last;
}

/// A request that arrives before the server has begun to execute anything is without effect, and
/// nobody tells. So it is repeated for as long as there is something to read.
inline task<> session::insist() {
  for (auto pause = std::chrono::milliseconds(50);; pause *= 2) {
    if (cancel_request_) co_await cancel_request_->wait();
    cancel_request_.reset();
    co_await sleep_for(pause);
    try {
      cancel_request_ = request_cancel(native());
    } catch (const std::exception&) {  // no memory, or no thread: once more, later
    }
  }
}

inline task<result_handle> session::stop_and_drain() {
  auto first = co_await when_any(drain(), insist());
  if (cancel_request_) co_await cancel_request_->wait();  // it would stop what is executed next
  cancel_request_.reset();
  if (PQpipelineStatus(native()) != PQ_PIPELINE_OFF) PQexitPipelineMode(native());
  left_ = false;
  co_return std::move(std::get<0>(first));
}

inline task<result_handle> session::recover() {
  const recovering here(*this);
  auto last = co_await try_for(cancel_timeout, stop_and_drain());
  if (last) co_return std::move(*last);
  break_off();
  co_return result_handle();
}

/// The last result may have come before the cancellation, and what says that it was the last one
/// after it.
inline task<result_handle> session::recover_answer(result_handle last) {
  result_handle rest = co_await shield(recover());
  if (!rest && is_broken()) throw operation_canceled();  // given up
  const bool failed = last && PQresultStatus(last.get()) == PGRES_FATAL_ERROR;
  if (rest && !failed) last = std::move(rest);
  const char* const code = last ? PQresultErrorField(last.get(), PG_DIAG_SQLSTATE) : nullptr;
  if (!last || (code != nullptr && code == sqlstate::query_canceled)) throw operation_canceled();
  co_return last;
}

inline task<> session::close() {
  break_off();
  while (is_polled()) co_await change();
}

inline task<result_handle> session::exchange(const request& r) {
  if (left_ || is_broken()) {
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
  request r = request::to_prepare("rondo_" + std::to_string(++statements_), std::move(sql));
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

inline void session::sync() {
  expect(PQpipelineSync(native()) == 1, "");
  unsynced_ = false;
  ++syncs_;
}

}  // namespace rondo::postgres::detail
