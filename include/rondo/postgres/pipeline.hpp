// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A pipeline sends statements without waiting for the answers to those before: a thousand of them
// take one round trip instead of a thousand.
//
//     auto p = co_await c.pipeline();
//     for (const item& i : items) p.query("insert into items values ($1, $2)", i.id, i.name);
//     co_await p.finish();
//
// It is a stream of answers: `next()` gives one after the other. What was sent between two
// synchronisation points is one transaction: if a statement fails, its work is undone and the
// others up to the point are skipped. `sync()` sets such a point; whoever waits for the answer to
// something sets one behind all that was sent by then. The server sends its answers when it comes
// to such a point, or when it has 8 KiB of them.

#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <rondo/compose/shield.hpp>
#include <rondo/core/task.hpp>
#include <rondo/postgres/session.hpp>

namespace rondo::postgres {

/// Made by connection::pipeline. While it exists, nothing else is done on the connection.
///
/// Keep alive: the connection. In flight: one next() or finish().
/// Dropped with answers missing: the server is asked to stop; what it has not begun by then may
/// still be carried out, synchronisation point by synchronisation point.
class pipeline {
 public:
  explicit pipeline(detail::session& s, detail::session::turn mine);
  pipeline(pipeline&& other) noexcept
      : turn_(std::move(other.turn_)),
        session_(std::exchange(other.session_, nullptr)),
        statements_(std::move(other.statements_)),
        first_(std::exchange(other.first_, 0)),
        unsynced_(other.unsynced_),
        current_(std::move(other.current_)) {}
  pipeline& operator=(pipeline&&) = delete;
  ~pipeline() {
    if (session_ != nullptr) end();
  }

  /// Adds a statement; arguments as in connection::query. It is sent as soon as somebody waits, or
  /// much has come together. COPY has no place in a pipeline.
  /// Throws: error (connection_lost); what connection::query throws for its arguments.
  template <typename... Args>
  void query(std::string sql, const Args&... args) {
    add(detail::request(std::move(sql), args...));
  }
  template <typename... Args>
  void query(const statement& prepared, const Args&... args) {
    add(detail::request(prepared, args...));
  }

  /// Sets a synchronisation point. Throws: error (connection_lost).
  void sync();

  /// The answer to the next statement whose answer was not given yet; nullopt when there is none.
  /// Throws: error, for that statement (skipped, if another one before it failed). The next one
  /// goes on with the statement after it.
  /// Canceled: nothing is lost, and it may be called again.
  [[nodiscard]] task<std::optional<rows>> next() &;

  /// All the answers that were not given yet. Throws: the first error, when all are there.
  /// Canceled: loses those that had come.
  [[nodiscard]] task<std::vector<rows>> finish() &;

  /// Asks the server to stop, and waits until it has. Not canceled.
  [[nodiscard]] task<> close() &;

  /// How many answers are missing.
  [[nodiscard]] std::size_t size() const noexcept { return statements_.size() - first_; }

 private:
  void add(detail::request r);
  void end() noexcept;
  std::string take_first() noexcept;
  [[nodiscard]] detail::session& mine() const {
    if (session_ == nullptr) throw std::logic_error("rondo: a pipeline was used after its end");
    return *session_;
  }

  std::optional<detail::session::turn> turn_;
  detail::session* session_;
  std::vector<std::string> statements_;  // from first_ on, those whose answers are missing
  std::size_t first_ = 0;
  std::size_t unsynced_ = 0;       // of them, behind the last synchronisation point
  detail::result_handle current_;  // of the first one; it is not complete yet
};

// Implementation

inline pipeline::pipeline(detail::session& s, detail::session::turn mine)
    : turn_(std::move(mine)), session_(&s) {
  s.expect(PQenterPipelineMode(s.native()) == 1, "");
}

inline void pipeline::add(detail::request r) {
  detail::session& s = mine();
  if (s.is_broken()) throw s.error_now(r.take_sql());
  statements_.push_back(r.sql());
  try {
    s.expect(r.send(s.native(), true) == 1, r.sql());
  } catch (...) {
    statements_.pop_back();
    throw;
  }
  s.not_synced();
  ++unsynced_;
}

inline std::string pipeline::take_first() noexcept {
  std::string sql = std::move(statements_[first_++]);
  if (first_ == statements_.size() || (first_ >= 1000 && first_ >= statements_.size() / 2)) {
    statements_.erase(statements_.begin(),
                      statements_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  return sql;
}

inline void pipeline::sync() {
  mine().sync();
  unsynced_ = 0;
}

inline task<std::optional<rows>> pipeline::next() & {
  detail::session& s = mine();
  for (;;) {
    if (size() == 0 && (s.syncs() == 0 || s.is_broken())) co_return std::nullopt;
    if (unsynced_ != 0 && unsynced_ == size() && !s.is_broken()) sync();
    if (!s.is_ready()) {
      co_await s.until_ready();
    } else if (const bool canceled = co_await cancellation_requested(); canceled) {
      co_await checkpoint();
    }
    detail::result_handle result(PQgetResult(s.native()));
    if (result) {
      switch (PQresultStatus(result.get())) {
        case PGRES_PIPELINE_SYNC:
          s.synced();
          break;
        case PGRES_COPY_IN:
        case PGRES_COPY_OUT:
        case PGRES_COPY_BOTH:
          s.break_off();
          throw std::logic_error("rondo: COPY has no place in a pipeline: " + statements_[first_]);
        default:
          current_ = std::move(result);
      }
    } else if ((current_ || s.is_broken()) && size() != 0) {
      co_return s.checked(std::move(current_), take_first());
    }
  }
}

inline task<std::vector<rows>> pipeline::finish() & {
  std::vector<rows> all;
  all.reserve(size());
  std::exception_ptr first;
  for (bool more = true; more;) {
    try {
      auto answer = co_await next();
      more = answer.has_value();
      if (more) all.push_back(std::move(*answer));
    } catch (const error&) {
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
  co_return all;
}

inline task<> pipeline::close() & {
  if (session_ == nullptr) co_return;
  end();
  if (session_->is_left() && !session_->is_broken()) co_await shield(session_->recover());
  session_ = nullptr;
  turn_.reset();
}

inline void pipeline::end() noexcept {
  const bool missing = size() != 0 || session_->syncs() != 0;
  statements_.clear();
  first_ = 0;
  current_.reset();
  if (missing || PQexitPipelineMode(session_->native()) != 1) session_->leave();
}

namespace detail {

inline task<pipeline> open_pipeline(session& s) {
  session::turn mine(s);
  co_await s.begin();
  co_return pipeline(s, std::move(mine));
}

}  // namespace detail
}  // namespace rondo::postgres
