// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A session is a connection as the rest of this folder sees it: libpq's state, who may use it, and
// the waiting between libpq's calls, none of which blocks.
//
// libpq reads and writes its socket itself. What it cannot do at once it leaves to be called again
// when the socket is ready, and that is all that is awaited here: `poll` for the socket. So
// a statement costs the calls that it costs with libpq alone: one to send, one to wait, one to
// read.
//
// Somebody who does not stay to the end (canceled, or a stream that was dropped) *leaves* the
// session: the server is asked to stop, and who comes next first *recovers* it, by reading what
// is still under way. If that takes longer than the limit, the connection is given up.
//
//   idle        nothing under way
//   in use      one user at a time, who holds a `turn`
//   left        under way, and nobody waits for it: recover() makes it idle
//   broken      for ever: lost, or given up

#include <poll.h>
#include <sys/socket.h>
#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/ops/misc.hpp>
#include <rondo/postgres/cancel_request.hpp>
#include <rondo/postgres/error.hpp>
#include <rondo/postgres/libpq.hpp>
#include <rondo/postgres/rows.hpp>
#include <rondo/postgres/statement.hpp>
#include <rondo/postgres/waiting_room.hpp>
#include <rondo/time/timeout.hpp>

namespace rondo::postgres {

/// What NOTIFY sent, and who.
struct notification {
  std::string channel;
  std::string payload;
  int process_id = 0;  // of the server's process whose client said NOTIFY
};

namespace detail {

class session {
 public:
  using notice_function = std::function<void(std::string_view)>;

  explicit session(connection_handle connection);
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  ~session() {
    RONDO_ASSERT(users_ == 0, "a postgres::connection was destroyed while it was being used");
  }

  /// Whoever uses the session, until its end.
  class user {
   public:
    explicit user(session& s) noexcept : session_(&s) { ++s.users_; }
    user(user&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
    user& operator=(user&&) = delete;
    ~user() {
      if (session_ != nullptr) session_->ends(*this);
    }

   private:
    session* session_;
  };
  /// The one that has something under way. Throws: std::logic_error when there is one already.
  class turn {
   public:
    explicit turn(session& s) : user_((s.take_turn(), s)), session_(&s) {}
    turn(turn&& other) noexcept
        : user_(std::move(other.user_)), session_(std::exchange(other.session_, nullptr)) {}
    turn& operator=(turn&&) = delete;
    ~turn() {
      if (session_ != nullptr) session_->in_turn_ = false;
    }

   private:
    user user_;
    session* session_;
  };

  [[nodiscard]] PGconn* native() const noexcept { return connection_.get(); }
  [[nodiscard]] int socket() const noexcept { return PQsocket(native()); }
  [[nodiscard]] bool in_turn() const noexcept { return in_turn_; }
  [[nodiscard]] bool is_left() const noexcept { return left_; }
  [[nodiscard]] bool is_broken() const noexcept {
    return lost_ || PQstatus(native()) == CONNECTION_BAD;
  }
  [[nodiscard]] bool is_idle() const noexcept {
    return users_ == 0 && !left_ && !is_broken() && PQtransactionStatus(native()) == PQTRANS_IDLE &&
           PQpipelineStatus(native()) == PQ_PIPELINE_OFF;
  }

  /// For who begins something: in a canceled task that ends here; what somebody left is recovered.
  /// Throws: error when the connection is lost.
  [[nodiscard]] task<> begin();

  /// Waits until PQgetResult would not block, and sends what is not sent yet meanwhile.
  /// Canceled: nothing is lost.
  [[nodiscard]] task<> until_ready();
  [[nodiscard]] bool is_ready() const noexcept { return lost_ || PQisBusy(native()) == 0; }
  /// Waits until libpq holds at most a little that is not sent yet.
  [[nodiscard]] task<> until_sent();
  /// Reads what has arrived.
  void consume();

  /// The last result of what was sent, or the first error. Canceled: it must be left then.
  [[nodiscard]] task<result_handle> answer();

  /// Somebody goes away in the middle: the server is asked to stop.
  void leave() noexcept;
  /// Waits for the end of what was left, and gives the last result; null when the connection was
  /// given up, because it took longer than the limit.
  [[nodiscard]] task<result_handle> recover();
  /// It will not be used any more.
  void give_up() noexcept;
  [[nodiscard]] task<> close();

  /// Sends a statement, and waits for its last result. Within a turn.
  /// Canceled: the server is asked to stop; if it had done the work by then, that counts.
  [[nodiscard]] task<result_handle> exchange(const request& r);
  /// The same for COPY, up to where its data begin.
  [[nodiscard]] task<> start_copy(const request& r, ExecStatusType direction);
  /// One statement, from its sending to its rows.
  [[nodiscard]] task<rows> execute(request r);
  [[nodiscard]] task<statement> prepare(std::string sql);
  /// What a result means: rows, or an exception.
  rows checked(result_handle result, std::string sql);
  void expect(bool sent, const std::string& sql) {
    if (!sent) throw error_now(sql);
  }
  [[nodiscard]] error error_now(std::string sql) const;

  // A pipeline's synchronisation points: how many are under way, and whether the last statement is
  // before one.
  void sync();
  void synced() noexcept { --syncs_; }
  void not_synced() noexcept { unsynced_ = true; }
  [[nodiscard]] bool is_synced() const noexcept { return !unsynced_; }
  [[nodiscard]] std::size_t syncs() const noexcept { return syncs_; }

  [[nodiscard]] std::optional<notification> take_notification();
  /// Waits for the end of whoever uses the session, or for a notification that they have read.
  [[nodiscard]] wait_description change() noexcept { return changed_.wait(); }

  std::chrono::nanoseconds cancel_timeout = std::chrono::seconds(5);
  notice_function on_notice;
  unsigned depth = 0;  // of transactions

 private:
  static void noticed(void* self, const PGresult* notice) noexcept;

  void take_turn() {
    if (in_turn_) {
      throw std::logic_error(
          "rondo: a postgres::connection does one thing at a time; use a postgres::pool, or a "
          "pipeline");
    }
    in_turn_ = true;
  }
  void ends(user&) noexcept {
    --users_;
    if (broken_off_ && users_ == 0) connection_.reset();
    changed_.wake_all();
  }
  task<result_handle> drain();

  connection_handle connection_;
  unsigned users_ = 0;
  bool in_turn_ = false;
  bool lost_ = false;
  bool broken_off_ = false;  // given up: it is closed with its last user
  bool left_ = false;
  bool unsynced_ = false;
  std::size_t syncs_ = 0;
  unsigned statements_ = 0;                  // prepared so far
  std::optional<oneshot<>> cancel_request_;  // under way
  std::deque<notification> notifications_;
  waiting_room changed_;
};

// Implementation

inline session::session(connection_handle connection) : connection_(std::move(connection)) {
  PQsetNoticeReceiver(native(), &session::noticed, this);  // the default prints
  if (PQsetnonblocking(native(), 1) != 0) throw error_now("");
}

inline void session::noticed(void* self, const PGresult* notice) noexcept {
  const auto& f = static_cast<session*>(self)->on_notice;
  if (f) f(in_one_line(PQresultErrorMessage(notice)));
}

inline task<> session::begin() {
  if (is_broken()) throw error_now("");
  const bool canceled = co_await cancellation_requested();
  if (canceled) co_await checkpoint();
  if (left_) {
    co_await recover();
    if (is_broken()) throw error_now("");
  }
}

inline task<> session::until_ready() {
  while (!lost_) {
    const bool all_sent = PQflush(native()) <= 0;
    if (all_sent && is_ready()) co_return;
    const short what = all_sent ? POLLIN : static_cast<short>(POLLIN | POLLOUT);
    const short seen = co_await io::poll(socket(), what);
    if ((seen & ~POLLOUT) != 0) consume();
  }
}

inline task<> session::until_sent() {
  while (!lost_ && PQflush(native()) > 0) {
    const short seen = co_await io::poll(socket(), POLLIN | POLLOUT);
    if ((seen & ~POLLOUT) != 0) consume();
  }
}

inline void session::consume() {
  // With TLS, a record may be larger than the room that libpq reads it into; the socket says
  // nothing of the rest. A record has 16 KiB at most, the room 8 KiB at least.
  const int rounds = PQsslInUse(native()) != 0 ? 3 : 1;
  for (int i = 0; i < rounds && !lost_; ++i) {
    if (PQconsumeInput(native()) == 0) lost_ = true;
  }
  bool any = false;
  while (const libpq_handle<PGnotify> n{PQnotifies(native())}) {
    notifications_.push_back({n->relname, n->extra, n->be_pid});
    any = true;
  }
  if (any || lost_) changed_.wake_all();
}

inline std::optional<notification> session::take_notification() {
  if (notifications_.empty()) return std::nullopt;
  std::optional<notification> first(std::move(notifications_.front()));
  notifications_.pop_front();
  return first;
}

inline task<result_handle> session::answer() {
  result_handle last;
  for (;;) {
    if (!is_ready()) co_await until_ready();
    result_handle next(PQgetResult(native()));
    if (!next) co_return last;
    if (last && PQresultStatus(last.get()) == PGRES_FATAL_ERROR) continue;  // the first one counts
    last = std::move(next);
    const ExecStatusType status = PQresultStatus(last.get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      co_return last;  // it would give the same one again, until the copy has ended
    }
  }
}

inline void session::leave() noexcept {
  left_ = true;
  if (is_broken()) return;
  try {
    cancel_request_ = request_cancel(native());
  } catch (...) {
    give_up();
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
        if (PQputCopyEnd(native(), "given up by the client") < 0) lost_ = true;
        co_await until_sent();
        break;
      case PGRES_COPY_OUT:
        for (;;) {
          char* text = nullptr;
          const int size = PQgetCopyData(native(), &text, 1);
          const libpq_handle<char> owner(text);
          if (size < 0) break;
          if (size > 0) continue;
          static_cast<void>(co_await readable(socket()));
          consume();
          if (lost_) break;
        }
        break;
      default:
        break;
    }
  }
  if (cancel_request_) co_await cancel_request_->wait();
  cancel_request_.reset();
  if (PQpipelineStatus(native()) != PQ_PIPELINE_OFF) PQexitPipelineMode(native());
  left_ = false;
  co_return last;
}

inline task<result_handle> session::recover() {
  auto last = co_await try_for(cancel_timeout, drain());
  if (last) co_return std::move(*last);
  give_up();
  co_return result_handle();
}

/// Who waits for the socket still has to see that it has ended.
inline void session::give_up() noexcept {
  lost_ = true;
  broken_off_ = true;
  if (users_ == 0) {
    connection_.reset();
  } else if (socket() >= 0) {
    ::shutdown(socket(), SHUT_RDWR);
  }
  changed_.wake_all();
}

inline task<> session::close() {
  give_up();
  while (users_ != 0) co_await change();
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
    last = co_await answer();
  } catch (const operation_canceled&) {
    canceled = true;
    leave();
  } catch (...) {
    leave();
    throw;
  }
  if (canceled) {
    last = co_await shield(recover());
    const char* const code = last ? PQresultErrorField(last.get(), PG_DIAG_SQLSTATE) : nullptr;
    if (!last || (code != nullptr && code == sqlstate::query_canceled)) throw operation_canceled();
  }
  co_return last;
}

inline task<rows> session::execute(request r) {
  const turn mine(*this);
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

/// What libpq has against what was asked of it.
inline error session::error_now(std::string sql) const {
  error_fields fields;
  fields.message = native() != nullptr ? in_one_line(PQerrorMessage(native())) : "";
  if (!is_broken()) return error(error_kind::statement_failed, std::move(fields), std::move(sql));
  if (fields.message.empty()) fields.message = "the connection is closed";
  fields.sqlstate = sqlstate::connection_lost;
  return error(error_kind::connection_lost, std::move(fields), std::move(sql));
}

inline void session::sync() {
  expect(PQpipelineSync(native()) == 1, "");
  unsynced_ = false;
  ++syncs_;
}

}  // namespace detail
}  // namespace rondo::postgres
