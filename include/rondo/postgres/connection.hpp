// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A connection to a PostgreSQL server, over libpq, without blocking the loop.
//
//     auto c = co_await postgres::connect("host=db.example dbname=shop user=me");
//     auto found = co_await c.query("select id, name from users where age > $1", 30);
//     for (auto user : found) print(user.get<int>("id"), user.get<std::string>("name"));
//
//     co_await c.transaction([](postgres::connection& t, int id) -> task<> {
//       co_await t.query("update accounts set sum = sum - 1 where id = $1", id);
//       co_await t.query("update accounts set sum = sum + 1 where id = $1", id + 1);
//     }, 7);
//
// One connection does one thing at a time. For tasks that work at once there is pool.hpp; for many
// statements in a row pipeline.hpp; for bulk copy.hpp.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <rondo/compose/shield.hpp>
#include <rondo/config.hpp>
#include <rondo/core/task.hpp>
#include <rondo/postgres/connect.hpp>
#include <rondo/postgres/copy.hpp>
#include <rondo/postgres/notifications.hpp>
#include <rondo/postgres/pipeline.hpp>
#include <rondo/postgres/rows.hpp>
#include <rondo/postgres/session.hpp>
#include <rondo/postgres/statement.hpp>
#include <rondo/postgres/transaction.hpp>

namespace rondo::postgres {

/// For all that waits:
/// Keep alive: the connection; arguments are copied.
/// In flight: one at a time, or std::logic_error; and while a task has a transaction open, or a body's
/// task one inside of it, nothing of other tasks (those that it has spawned are in it): theirs would
/// be a part of the transaction.
/// Canceled: the server is asked to stop, with the protocol's own request, and what is under way is
/// read to its end; then the connection can be used again. If the server had done the work by then,
/// that counts. A server that does not stop within cancel_timeout loses the connection.
/// Throws: error; std::invalid_argument for text with a zero byte.
/// Thread: a loop's; one loop after the other is fine.
class connection {
 public:
  connection() noexcept = default;

  /// Executes a statement, with arguments for $1, $2, ...; their types are listed in codec.hpp.
  /// Without arguments there may be several statements, with semicolons between them: then all of
  /// them are one transaction, and the last one's rows are given.
  template <typename... Args>
  [[nodiscard]] task<rows> query(std::string sql, const Args&... args) & {
    return mine().execute(detail::request(std::move(sql), args...));
  }
  template <typename... Args>
  [[nodiscard]] task<rows> query(const statement& prepared, const Args&... args) & {
    return mine().execute(detail::request(prepared, args...));
  }

  /// Lets the server parse a statement once, to be executed often. The types of its arguments are
  /// inferred from it.
  [[nodiscard]] task<statement> prepare(std::string sql) & {
    return mine().prepare(std::move(sql));
  }

  /// Calls body(connection&, args...), or body(args...), and awaits the task that it gives, in a
  /// transaction: committed when that ends with a value, rolled back when it ends with an error or
  /// is canceled. Called in the body of another one, or in what that awaits, starts or spawns, it
  /// makes a savepoint, and ends before that body does; otherwise that is an error
  /// (std::logic_error), and the connection is given up.
  ///
  /// In flight: one at a time, or std::logic_error.
  /// Gives: what body gives. Throws: what body throws; error, when the server does not commit;
  /// std::logic_error, when the body has ended the transaction itself.
  /// Canceled: as long as the server was not told to commit. From then on its answer counts, for
  /// which a canceled task waits within cancel_timeout.
  /// Lost during the commit, and given up then: error (connection_lost) with the sqlstate 08007,
  /// transaction_resolution_unknown; nobody here knows whether it was committed.
  template <typename F, typename... Args>
  requires detail::transaction_body<std::decay_t<F>, std::decay_t<Args>...>
  [[nodiscard]] auto transaction(F&& body, Args&&... args) & {
    rondo::detail::mind_closure<F>();
    return detail::run_transaction<std::decay_t<F>, std::decay_t<Args>...>(
        mine(), *this, std::forward<F>(body), std::forward<Args>(args)...);
  }

  /// See pipeline.hpp.
  [[nodiscard]] task<postgres::pipeline> pipeline() & { return detail::open_pipeline(mine()); }

  /// COPY ... FROM STDIN and COPY ... TO STDOUT; see copy.hpp.
  [[nodiscard]] task<copy_input> copy_in(std::string sql) & {
    return detail::open_copy_input(mine(), std::move(sql));
  }
  [[nodiscard]] task<copy_output> copy_out(std::string sql) & {
    return detail::open_copy_output(mine(), std::move(sql));
  }

  /// What others send with NOTIFY, after this connection's LISTEN; see notifications.hpp.
  [[nodiscard]] notification_stream notifications() & RONDO_LIFETIMEBOUND {
    return notification_stream(mine());
  }

  /// Ends what is under way, with error (connection_lost) for who waits for it, and closes. The
  /// destructor closes, too, when nothing is under way. Not canceled.
  [[nodiscard]] task<> close() &;

  /// Whether it can be used: it has been opened, and neither closed nor found lost.
  [[nodiscard]] bool is_open() const noexcept { return session_ && !session_->is_broken(); }
  /// Whether nothing is left over: no transaction, and nothing under way.
  [[nodiscard]] bool is_idle() const noexcept { return session_ && session_->is_idle(); }

  /// How long a canceled statement may take to stop, a transaction to be rolled back, and a commit
  /// to be answered from its cancellation on. Default: 5 s.
  void cancel_timeout(std::chrono::nanoseconds limit) & { mine().cancel_timeout = limit; }
  [[nodiscard]] std::chrono::nanoseconds cancel_timeout() const { return mine().cancel_timeout; }
  /// Is called with each warning and notice of the server, during the await that reads it. It may
  /// neither throw nor use the connection. Default: they are dropped.
  void on_notice(std::function<void(std::string_view)> f) & { mine().on_notice = std::move(f); }

  /// The server's process for this connection, as in pg_stat_activity.
  [[nodiscard]] int process_id() const noexcept { return PQbackendPID(native_handle()); }
  /// libpq's own, for what is not here and does not block. Null when closed.
  [[nodiscard]] PGconn* native_handle() const noexcept {
    return session_ ? session_->native() : nullptr;
  }

 private:
  friend class pool;
  friend task<connection> connect(std::string conninfo);
  explicit connection(std::unique_ptr<detail::session> s) noexcept : session_(std::move(s)) {}

  [[nodiscard]] detail::session& mine() const {
    RONDO_ASSERT(session_ != nullptr, "a postgres::connection was used that was never opened");
    return *session_;
  }

  [[nodiscard]] task<rows> execute(detail::request r) & { return mine().execute(std::move(r)); }

  std::unique_ptr<detail::session> session_;
};

/// Opens a connection. `conninfo` is "host=... dbname=..." or "postgresql://user@host/name", as
/// libpq has it (PostgreSQL's documentation, 34.1.1); what it does not say comes from the
/// environment, a password also from ~/.pgpass. Host names are looked up on a thread.
///
/// connect_timeout limits the whole attempt.
/// Canceled: a look-up that has begun is waited for. Throws: error (connect_failed).
[[nodiscard]] task<connection> connect(std::string conninfo);

// Implementation

inline task<> connection::close() & {
  if (session_) co_await shield(session_->close());
}

inline task<connection> connect(std::string conninfo) {
  auto s = co_await detail::open_session(std::move(conninfo));
  co_return connection(std::move(s));
}

}  // namespace rondo::postgres
