// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// COPY: many rows into a table, or out of one, as a stream of bytes. The fastest way for both.
//
//     auto in = co_await c.copy_in("copy items (id, name) from stdin");
//     for (const item& i : items) co_await in.row(i.id, i.name);
//     std::uint64_t count = co_await in.finish();
//
//     auto out = co_await c.copy_out("copy items to stdout (format csv)");
//     while (auto line = co_await out.next()) co_await file.write(*line);

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/buffer.hpp>
#include <rondo/postgres/copy_text.hpp>
#include <rondo/postgres/session.hpp>

namespace rondo::postgres {

namespace detail {

/// What both directions are: a session in the middle of a COPY.
class copy_base {
 public:
  copy_base(copy_base&& other) noexcept
      : turn_(std::move(other.turn_)),
        session_(std::exchange(other.session_, nullptr)),
        sql_(std::move(other.sql_)) {}
  copy_base& operator=(copy_base&&) = delete;

  /// Gives it up, and waits until the server has. Not canceled.
  [[nodiscard]] task<> close() & { return shield_close(); }

 protected:
  copy_base(session& s, session::turn mine, std::string sql)
      : turn_(std::move(mine)), session_(&s), sql_(std::move(sql)) {}
  ~copy_base() {
    if (session_ != nullptr) session_->leave();
  }

  [[nodiscard]] bool has_ended() const noexcept { return session_ == nullptr; }
  [[nodiscard]] session& mine() const noexcept { return *session_; }
  /// It has ended, with an error or not: what its last result says.
  rows end(result_handle last) {
    session& s = *session_;
    release();
    return s.checked(std::move(last), std::move(sql_));
  }
  /// Waits for the last result, and ends it.
  /// Canceled: the server is asked to stop; if it had done the work by then, that counts.
  [[nodiscard]] task<rows> outcome();

 private:
  task<> shield_close() {
    if (has_ended()) co_return;
    session_->leave();
    co_await shield(session_->recover());
    release();
  }
  void release() noexcept {
    session_ = nullptr;
    turn_.reset();
  }

  std::optional<session::turn> turn_;
  session* session_;  // null: it has ended
  std::string sql_;
};

}  // namespace detail

/// Made by connection::copy_in. Dropped before finish(): nothing was copied.
///
/// Keep alive: the connection. In flight: one call at a time.
/// Canceled: how much of what was given has been taken is lost, so end the copy.
/// Throws: error. What the server refuses is told by finish(), also when it was found long before;
/// the rest of what was sent is ignored then.
class copy_input : detail::copy_base {
 public:
  copy_input(detail::session& s, detail::session::turn mine, std::string sql)
      : copy_base(s, std::move(mine), std::move(sql)) {}

  /// Sends bytes, in the format that the statement names; they may begin and end anywhere in a row.
  /// Keep alive: the bytes; what is given as an rvalue it owns.
  template <rondo::detail::source_of_bytes B>
  [[nodiscard]] auto write(B&& bytes) & {
    return send(rondo::detail::source<B>(std::forward<B>(bytes)));
  }

  /// Sends a row in the format text, which is the default. Values as in connection::query.
  template <typename... Args>
  [[nodiscard]] task<> row(const Args&... values) & {
    return send(detail::text_row(values...));
  }

  /// All is sent. Gives how many rows were copied.
  /// Canceled: as a query is; if the server had copied them by then, that counts.
  [[nodiscard]] task<std::uint64_t> finish() &;

  using copy_base::close;

 private:
  template <typename Source>
  task<> send(Source bytes);

  std::size_t unsent_ = 0;  // bytes given to libpq since it was last asked to send
};

/// Made by connection::copy_out: a stream of rows, each as the server writes it.
///
/// Keep alive: the connection. In flight: one call at a time.
/// Dropped in the middle: the server is asked to stop.
class copy_output : detail::copy_base {
 public:
  copy_output(detail::session& s, detail::session::turn mine, std::string sql)
      : copy_base(s, std::move(mine), std::move(sql)) {}

  /// The next row, in text with its line end; nullopt at the end.
  /// Canceled: nothing is lost, and it may be called again. Throws: error.
  [[nodiscard]] task<std::optional<std::string>> next() &;

  using copy_base::close;

 private:
  detail::result_handle last_;  // what a next() that was canceled behind the rows has got
};

// Implementation

namespace detail {

inline task<rows> copy_base::outcome() {
  result_handle last;
  bool canceled = false;
  try {
    co_await session_->answer(last);
  } catch (const operation_canceled&) {
    canceled = true;
    session_->leave();
  }
  if (canceled) {
    // It has ended in any case, but its turn lasts until the server has stopped.
    const std::optional<session::turn> mine(std::move(turn_));
    session& s = *std::exchange(session_, nullptr);
    last = co_await s.recover_answer(std::move(last));
    co_return s.checked(std::move(last), std::move(sql_));
  }
  co_return end(std::move(last));
}

}  // namespace detail

template <typename Source>
task<> copy_input::send(Source bytes) {
  constexpr std::size_t much = 64 * 1024;
  if (has_ended()) throw std::logic_error("rondo: a copy was written to after its end");
  const bool canceled = co_await cancellation_requested();
  if (canceled) co_await checkpoint();
  detail::session& s = mine();
  for (const_buffer rest = bytes; rest.size() != 0;) {
    const std::size_t size = std::min(rest.size(), much);
    const int taken =
        PQputCopyData(s.native(), static_cast<const char*>(rest.data()), static_cast<int>(size));
    if (taken < 0) {
      co_await outcome();
      throw std::logic_error("rondo: the copy has ended before its data");
    }
    if (taken > 0) {
      rest = rest.after(size);
      unsent_ += size;
    }
    if (taken > 0 && unsent_ < much) continue;
    co_await s.until_sent();
    unsent_ = 0;
  }
}

inline task<std::uint64_t> copy_input::finish() & {
  if (has_ended()) throw std::logic_error("rondo: a copy was finished twice");
  const bool canceled = co_await cancellation_requested();
  if (canceled) co_await checkpoint();
  while (PQputCopyEnd(mine().native(), nullptr) == 0) co_await mine().until_sent();
  const rows done = co_await outcome();
  co_return done.affected();
}

inline task<std::optional<std::string>> copy_output::next() & {
  if (has_ended()) co_return std::nullopt;
  const bool canceled = co_await cancellation_requested();
  if (canceled) co_await checkpoint();
  detail::session& s = mine();
  for (;;) {
    char* text = nullptr;
    const int size = PQgetCopyData(s.native(), &text, 1);
    const detail::libpq_handle<char> owner(text);
    if (size > 0) co_return std::string(text, static_cast<std::size_t>(size));
    if (size < 0) break;
    co_await s.until_read();
    if (s.is_broken()) break;
  }
  co_await s.answer(last_);
  end(std::move(last_));
  co_return std::nullopt;
}

namespace detail {

inline task<copy_input> open_copy_input(session& s, std::string sql) {
  session::turn mine(s);
  request r(std::move(sql));
  co_await s.start_copy(r, PGRES_COPY_IN);
  co_return copy_input(s, std::move(mine), r.take_sql());
}
inline task<copy_output> open_copy_output(session& s, std::string sql) {
  session::turn mine(s);
  request r(std::move(sql));
  co_await s.start_copy(r, PGRES_COPY_OUT);
  co_return copy_output(s, std::move(mine), r.take_sql());
}

}  // namespace detail
}  // namespace rondo::postgres
