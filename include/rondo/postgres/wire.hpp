// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The wire is libpq's state and its socket, and the waiting between libpq's calls, none of which
// blocks.
//
// libpq reads and writes its socket itself. What it cannot do at once it leaves to be called again
// when the socket is ready, and that is all that is awaited here. So a statement costs the calls
// that it costs with libpq alone: one to send, one to wait, one to read.
//
// A socket is not closed while somebody waits for it, because the wait would not end then: it is
// shut down, and closed when the last wait has ended.

#include <poll.h>
#include <sys/socket.h>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/core/changes.hpp>
#include <rondo/core/task.hpp>
#include <rondo/io/ops/misc.hpp>
#include <rondo/postgres/error.hpp>
#include <rondo/postgres/libpq.hpp>

namespace rondo::postgres {

/// What NOTIFY sent, and who.
struct notification {
  std::string channel;
  std::string payload;
  int process_id = 0;  // of the server's process whose client said NOTIFY
};

namespace detail {

class wire {
 public:
  using notice_function = std::function<void(std::string_view)>;

  explicit wire(connection_handle connection);
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;
  ~wire() {
    RONDO_ASSERT(polls_ == 0, "a postgres::connection was destroyed while it was being used");
  }

  /// While this exists, the socket stays open.
  class polling {
   public:
    explicit polling(wire& w) noexcept : wire_(w) { ++w.polls_; }
    polling(const polling&) = delete;
    polling& operator=(const polling&) = delete;
    ~polling() { wire_.ends_polling(); }

   private:
    wire& wire_;
  };

  /// Null when it was broken off and nobody waits for it.
  [[nodiscard]] PGconn* native() const noexcept { return connection_.get(); }
  [[nodiscard]] int socket() const noexcept { return PQsocket(native()); }
  [[nodiscard]] bool is_broken() const noexcept {
    return lost_ || PQstatus(native()) == CONNECTION_BAD;
  }

  /// Waits until PQgetResult would not block, and sends what is not sent yet meanwhile.
  /// Canceled: nothing is lost. The other waits, too.
  [[nodiscard]] task<> until_ready();
  [[nodiscard]] bool is_ready() const noexcept { return lost_ || PQisBusy(native()) == 0; }
  /// Waits until libpq holds nothing that is not sent yet.
  [[nodiscard]] task<> until_sent();
  /// Waits until something has arrived, and reads it.
  [[nodiscard]] task<> until_read();
  /// Reads what has arrived.
  void consume();

  /// Waits for the answer to what was sent: the last result, or the first error; of COPY, where its
  /// data begin.
  /// Canceled: `last` is what has come, and the next call goes on from there.
  [[nodiscard]] task<> answer(result_handle& last);

  [[nodiscard]] std::optional<notification> take_notification();
  /// Waits until somebody else has read notifications, has ended what they did, or closes a stream.
  [[nodiscard]] rondo::detail::next_change_description change() noexcept { return changes_.next(); }
  void tell_change() noexcept { changes_.notify_all(); }

  /// Nobody gets anything from it any more; those who wait are told.
  void break_off() noexcept;
  [[nodiscard]] bool is_polled() const noexcept { return polls_ != 0; }

  /// What libpq has against what was asked of it.
  [[nodiscard]] error error_now(std::string sql) const;
  /// Throws that, if it was not done.
  void expect(bool done, const std::string& sql) const {
    if (!done) throw error_now(sql);
  }

  notice_function on_notice;

 protected:
  void lose() noexcept { lost_ = true; }

 private:
  bool collect_notifications();
  static void noticed(void* self, const PGresult* notice) noexcept;
  void ends_polling() noexcept {
    if (--polls_ != 0 || !broken_off_) return;
    connection_.reset();
    tell_change();
  }

  connection_handle connection_;
  unsigned polls_ = 0;
  bool lost_ = false;
  bool broken_off_ = false;
  std::deque<notification> notifications_;
  rondo::detail::changes changes_;
};

// Implementation

inline wire::wire(connection_handle connection) : connection_(std::move(connection)) {
  PQsetNoticeReceiver(native(), &wire::noticed, this);  // the default prints
  if (PQsetnonblocking(native(), 1) != 0) throw error_now("");
}

inline void wire::noticed(void* self, const PGresult* notice) noexcept {
  const auto& f = static_cast<wire*>(self)->on_notice;
  if (f) f(in_one_line(PQresultErrorMessage(notice)));
}

inline task<> wire::until_ready() {
  const polling here(*this);
  while (!lost_) {
    const bool all_sent = PQflush(native()) <= 0;
    if (all_sent && is_ready()) co_return;
    const short what = all_sent ? POLLIN : static_cast<short>(POLLIN | POLLOUT);
    const short seen = co_await io::poll(socket(), what);
    if ((seen & ~POLLOUT) != 0) consume();
  }
}

inline task<> wire::until_sent() {
  const polling here(*this);
  while (!lost_ && PQflush(native()) > 0) {
    const short seen = co_await io::poll(socket(), POLLIN | POLLOUT);
    if ((seen & ~POLLOUT) != 0) consume();
  }
}

inline task<> wire::until_read() {
  const polling here(*this);
  static_cast<void>(co_await readable(socket()));
  consume();
}

inline void wire::consume() {
  // With TLS, a record may be larger than the room that libpq reads it into; the socket says
  // nothing of the rest. A record has 16 KiB at most, the room 8 KiB at least.
  const int rounds = PQsslInUse(native()) != 0 ? 3 : 1;
  for (int i = 0; i < rounds && !lost_; ++i) {
    if (PQconsumeInput(native()) == 0) lost_ = true;
  }
  if (collect_notifications() || lost_) tell_change();
}

/// libpq looks at what it has read only as far as the next result that nobody has taken. So what
/// comes behind one is found when that has been taken, and not when it arrives.
inline bool wire::collect_notifications() {
  bool any = false;
  while (const libpq_handle<PGnotify> n{native() != nullptr ? PQnotifies(native()) : nullptr}) {
    notifications_.push_back({n->relname, n->extra, n->be_pid});
    any = true;
  }
  return any;
}

inline std::optional<notification> wire::take_notification() {
  collect_notifications();
  if (notifications_.empty()) return std::nullopt;
  std::optional<notification> first(std::move(notifications_.front()));
  notifications_.pop_front();
  return first;
}

inline task<> wire::answer(result_handle& last) {
  for (;;) {
    if (!is_ready()) co_await until_ready();
    result_handle next(PQgetResult(native()));
    if (!next) co_return;
    if (last && PQresultStatus(last.get()) == PGRES_FATAL_ERROR) continue;  // the first one counts
    last = std::move(next);
    const ExecStatusType status = PQresultStatus(last.get());
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      co_return;  // it would give the same one again, until the copy has ended
    }
  }
}

inline void wire::break_off() noexcept {
  lost_ = true;
  broken_off_ = true;
  if (polls_ == 0) {
    connection_.reset();
  } else if (socket() >= 0) {
    ::shutdown(socket(), SHUT_RDWR);
  }
  tell_change();
}

inline error wire::error_now(std::string sql) const {
  error_fields fields;
  fields.message = native() != nullptr ? in_one_line(PQerrorMessage(native())) : "";
  if (!is_broken()) return error(error_kind::statement_failed, std::move(fields), std::move(sql));
  if (fields.message.empty()) fields.message = "the connection is closed";
  fields.sqlstate = sqlstate::connection_lost;
  return error(error_kind::connection_lost, std::move(fields), std::move(sql));
}

}  // namespace detail
}  // namespace rondo::postgres
