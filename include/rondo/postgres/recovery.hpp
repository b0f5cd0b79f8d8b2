// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What somebody left, and how a connection gets over it.
//
// Somebody who does not stay to the end (canceled, or a stream that was dropped) *leaves* the
// connection: the server is asked to stop, and who comes next first *recovers* it, by reading what
// is still under way. If that takes longer than the limit, the connection is given up.

#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <utility>

#include <rondo/compose/shield.hpp>
#include <rondo/compose/when_any.hpp>
#include <rondo/core/task.hpp>
#include <rondo/postgres/cancel_request.hpp>
#include <rondo/postgres/error.hpp>
#include <rondo/postgres/libpq.hpp>
#include <rondo/postgres/wire.hpp>
#include <rondo/threads/oneshot.hpp>
#include <rondo/time/sleep.hpp>
#include <rondo/time/timeout.hpp>

namespace rondo::postgres::detail {

class recoverable : public wire {
 public:
  using wire::wire;

  [[nodiscard]] bool is_left() const noexcept { return left_; }
  /// Somebody goes away in the middle: the server is asked to stop.
  void leave() noexcept;
  /// Waits for the end of what was left, and gives the last result; null when there was none any
  /// more, or the connection was given up, because it took longer than the limit.
  [[nodiscard]] task<result_handle> recover();
  /// The rest of an answer() that was canceled, and left: how the work has ended all the same.
  /// `last`: what had come by then. Throws: operation_canceled when the work was not done.
  [[nodiscard]] task<result_handle> recover_answer(result_handle last);
  /// Waits for whoever recovers it, and recovers it if there is something left.
  [[nodiscard]] task<> settle();

  // A pipeline's synchronisation points: how many are under way, and whether the last statement is
  // before one.
  void sync();
  void synced() noexcept { --syncs_; }
  void not_synced() noexcept { unsynced_ = true; }
  [[nodiscard]] bool is_synced() const noexcept { return !unsynced_; }
  [[nodiscard]] std::size_t syncs() const noexcept { return syncs_; }

  std::chrono::nanoseconds cancel_timeout = std::chrono::seconds(5);

 private:
  class recovering {
   public:
    explicit recovering(recoverable& r) noexcept : of_(r) { r.recovering_ = true; }
    recovering(const recovering&) = delete;
    recovering& operator=(const recovering&) = delete;
    ~recovering() {
      of_.recovering_ = false;
      of_.tell_change();
    }

   private:
    recoverable& of_;
  };
  [[nodiscard]] task<result_handle> drain();
  [[nodiscard]] task<> insist();
  [[nodiscard]] task<result_handle> stop_and_drain();
  [[nodiscard]] task<> drain_copy_out();

  bool left_ = false;
  bool recovering_ = false;
  bool unsynced_ = false;
  std::size_t syncs_ = 0;
  std::optional<oneshot<>> cancel_request_;  // under way
};

// Implementation

inline void recoverable::leave() noexcept {
  left_ = true;
  if (is_broken()) return;
  try {
    cancel_request_ = request_cancel(native());
  } catch (...) {
    break_off();
  }
}

inline task<> recoverable::drain_copy_out() {
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

inline task<result_handle> recoverable::drain() {
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
inline task<> recoverable::insist() {
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

inline task<result_handle> recoverable::stop_and_drain() {
  auto first = co_await when_any(drain(), insist());
  if (cancel_request_) co_await cancel_request_->wait();  // it would stop what is executed next
  cancel_request_.reset();
  if (PQpipelineStatus(native()) != PQ_PIPELINE_OFF) PQexitPipelineMode(native());
  left_ = false;
  co_return std::move(std::get<0>(first));
}

inline task<result_handle> recoverable::recover() {
  const recovering here(*this);
  auto last = co_await try_for(cancel_timeout, stop_and_drain());
  if (last) co_return std::move(*last);
  break_off();
  co_return result_handle();
}

/// The last result may have come before the cancellation, and what says that it was the last one
/// after it.
inline task<result_handle> recoverable::recover_answer(result_handle last) {
  result_handle rest = co_await shield(recover());
  if (!rest && is_broken()) throw operation_canceled();  // given up
  const bool failed = last && PQresultStatus(last.get()) == PGRES_FATAL_ERROR;
  if (rest && !failed) last = std::move(rest);
  const char* const code = last ? PQresultErrorField(last.get(), PG_DIAG_SQLSTATE) : nullptr;
  if (!last || (code != nullptr && code == sqlstate::query_canceled)) throw operation_canceled();
  co_return last;
}

inline task<> recoverable::settle() {
  while (recovering_) co_await change();
  if (left_) co_await recover();
}

inline void recoverable::sync() {
  expect(PQpipelineSync(native()) == 1, "");
  unsynced_ = false;
  ++syncs_;
}

}  // namespace rondo::postgres::detail
