// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What other clients say with NOTIFY, as a stream.
//
//     co_await c.query("listen jobs");
//     auto news = c.notifications();
//     while (auto n = co_await news.next()) start_job(n->payload);
//
// The connection may be used for statements meanwhile, by other tasks; the server delivers
// notifications between transactions.

#include <optional>
#include <utility>

#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/when_any.hpp>
#include <rondo/core/done.hpp>
#include <rondo/core/task.hpp>
#include <rondo/postgres/session.hpp>

namespace rondo::postgres {

/// Made by connection::notifications. Several share what comes: each notification is given once.
///
/// Keep alive: the connection.
class notification_stream {
 public:
  explicit notification_stream(detail::session& s) noexcept : session_(&s) {}

  /// The next notification; it waits for one for as long as it takes.
  /// Canceled: nothing is lost, and it may be called again.
  /// Throws: error (connection_lost).
  [[nodiscard]] task<std::optional<notification>> next() &;
  /// `next` gives an empty optional, also one that waits. What comes is kept for the next stream;
  /// LISTEN is in force until UNLISTEN.
  rondo::detail::done close() & noexcept {
    closed_ = true;
    session_->tell_change();
    return {};
  }

 private:
  detail::session* session_;
  bool closed_ = false;
};

// Implementation

inline task<std::optional<notification>> notification_stream::next() & {
  detail::session& s = *session_;
  const detail::session::polling here(s);
  const bool canceled = co_await cancellation_requested();
  if (canceled) co_await checkpoint();
  for (;;) {
    if (closed_) co_return std::nullopt;
    auto first = s.take_notification();
    if (first) co_return first;
    if (s.is_broken()) throw s.error_now("");
    if (s.in_turn()) {
      co_await s.change();  // who is in turn reads, and tells
      continue;
    }
    if (s.is_left()) {
      co_await s.begin();  // without a turn: who takes one now waits, and is not refused
      continue;
    }
    static_cast<void>(co_await when_any(readable(s.socket()), s.change()));
    if (!s.in_turn()) s.consume();
  }
}

}  // namespace rondo::postgres
