// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A pool: up to so many connections to the same server, for tasks that work at once.
//
//     postgres::pool db("dbname=shop", postgres::pool_options().max_connections(20));
//     auto users = co_await db.query("select * from users where id = $1", id);
//     co_await db.transaction(transfer, from, to, sum);          // transfer(connection&, ...)
//
//     auto c = co_await with_timeout(1s, db.acquire());          // one to keep for a while
//     co_await c->query("listen jobs");
//
// Connections are opened when they are needed, and kept. One that was lost meanwhile is noticed
// before it is given out, so after a restart of the server the pool goes on by itself.

#include <sys/socket.h>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <rondo/config.hpp>
#include <rondo/core/task.hpp>
#include <rondo/postgres/connection.hpp>
#include <rondo/sync/semaphore.hpp>
#include <rondo/time/timeout.hpp>

namespace rondo::postgres {

namespace detail {
class pool_state;
}

class pool_options {
 public:
  using hook = std::function<task<>(connection&)>;

  pool_options() = default;

  /// Connections open at the same time; further tasks wait, first come, first served. Default: 10.
  pool_options& max_connections(std::size_t count) & RONDO_LIFETIMEBOUND {
    max_connections_ = count;
    return *this;
  }
  /// One that nobody has used for so long is closed instead of used again. Default: 10 minutes.
  pool_options& max_idle_time(std::chrono::nanoseconds limit) & RONDO_LIFETIMEBOUND {
    max_idle_time_ = limit;
    return *this;
  }
  /// One that nobody has used for so long is asked whether the server is there, before it is given
  /// out: a network may lose connections without a word. Default: 30 s.
  pool_options& check_after(std::chrono::nanoseconds time) & RONDO_LIFETIMEBOUND {
    check_after_ = time;
    return *this;
  }
  /// Is awaited for each new connection: to set what all of them have set.
  pool_options& on_connect(hook f) & RONDO_LIFETIMEBOUND {
    on_connect_ = std::move(f);
    return *this;
  }

  // The same on rvalues, to be chained.
  pool_options&& max_connections(std::size_t count) && RONDO_LIFETIMEBOUND {
    return std::move(max_connections(count));
  }
  pool_options&& max_idle_time(std::chrono::nanoseconds limit) && RONDO_LIFETIMEBOUND {
    return std::move(max_idle_time(limit));
  }
  pool_options&& check_after(std::chrono::nanoseconds time) && RONDO_LIFETIMEBOUND {
    return std::move(check_after(time));
  }
  pool_options&& on_connect(hook f) && RONDO_LIFETIMEBOUND {
    return std::move(on_connect(std::move(f)));
  }

 private:
  friend detail::pool_state;
  std::size_t max_connections_ = 10;
  std::chrono::nanoseconds max_idle_time_ = std::chrono::minutes(10);
  std::chrono::nanoseconds check_after_ = std::chrono::seconds(30);
  hook on_connect_;
};

/// A connection that goes back to its pool when this is destroyed; if it is in the middle of
/// something then, or in a transaction, it is closed instead. What was set on it stays set.
class pooled_connection {
 public:
  pooled_connection() noexcept = default;
  pooled_connection(pooled_connection&&) noexcept = default;
  pooled_connection& operator=(pooled_connection&& other) noexcept {
    pooled_connection(std::move(other)).swap(*this);
    return *this;
  }
  ~pooled_connection() { release(); }
  void swap(pooled_connection& other) noexcept {
    std::swap(pool_, other.pool_);
    std::swap(connection_, other.connection_);
    std::swap(permit_, other.permit_);
  }

  [[nodiscard]] connection& operator*() noexcept RONDO_LIFETIMEBOUND { return connection_; }
  [[nodiscard]] connection* operator->() noexcept RONDO_LIFETIMEBOUND { return &connection_; }
  [[nodiscard]] explicit operator bool() const noexcept { return pool_ != nullptr; }

  /// Gives it back early.
  void release() noexcept;

 private:
  friend detail::pool_state;
  pooled_connection(std::shared_ptr<detail::pool_state> pool, semaphore::permit permit) noexcept
      : pool_(std::move(pool)), permit_(std::move(permit)) {}

  std::shared_ptr<detail::pool_state> pool_;  // null: nothing
  connection connection_;
  semaphore::permit permit_;  // of the pool
};

/// Keep alive: the pool, until what was begun on it has ended. Connections that were acquired may
/// outlive it; they are closed when they come back.
/// In flight: any number.
/// Canceled: who waits for a connection leaves the queue; the rest is as with a connection.
/// Throws: what connect and connection throw.
/// Thread: that of a loop.
class pool {
 public:
  /// Connects to nobody yet. conninfo: as in connect.
  explicit pool(std::string conninfo, pool_options options = pool_options())
      : state_(std::make_shared<detail::pool_state>(std::move(conninfo), std::move(options))) {}
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  ~pool();

  /// A connection for the caller alone.
  [[nodiscard]] task<pooled_connection> acquire();

  /// connection::query and connection::transaction, on a connection that is free.
  template <typename... Args>
  [[nodiscard]] task<rows> query(std::string sql, const Args&... args) {
    return run(detail::request(std::move(sql), args...));
  }
  template <typename F, typename... Args>
  requires detail::transaction_body<std::decay_t<F>, std::decay_t<Args>...>
  [[nodiscard]] auto transaction(F&& body, Args&&... args) {
    rondo::detail::mind_closure<F>();
    return run_transaction<std::decay_t<F>, std::decay_t<Args>...>(std::forward<F>(body),
                                                                   std::forward<Args>(args)...);
  }

  /// Connections that are open and that nobody uses.
  [[nodiscard]] std::size_t idle() const noexcept;
  /// Connections that somebody has acquired, or is about to open.
  [[nodiscard]] std::size_t in_use() const noexcept;
  /// Closes those that nobody uses.
  void close_idle() noexcept;

 private:
  task<rows> run(detail::request r);
  template <typename F, typename... Args>
  task<detail::body_result<F, Args...>> run_transaction(F body, Args... args);

  std::shared_ptr<detail::pool_state> state_;
};

// Implementation

namespace detail {

/// What a pool and its connections share.
class pool_state : public std::enable_shared_from_this<pool_state> {
 public:
  pool_state(std::string conninfo, pool_options options)
      : conninfo_(std::move(conninfo)),
        options_(std::move(options)),
        permits_(options_.max_connections_) {
    if (options_.max_connections_ == 0) {
      throw std::invalid_argument("rondo: a pool of no connections");
    }
    idle_.reserve(options_.max_connections_);
  }

  task<pooled_connection> acquire();
  void give_back(connection c) noexcept;
  void close() noexcept {
    closed_ = true;
    idle_.clear();
  }

  [[nodiscard]] std::size_t idle() const noexcept { return idle_.size(); }
  [[nodiscard]] std::size_t in_use() const noexcept {
    return options_.max_connections_ - permits_.available();
  }
  void close_idle() noexcept { idle_.clear(); }

 private:
  using clock = std::chrono::steady_clock;
  struct idle_connection {
    connection c;
    clock::time_point since;
  };

  task<connection> open();
  [[nodiscard]] std::optional<idle_connection> take_idle() noexcept;
  static bool is_alive(PGconn* c) noexcept;
  static task<bool> answers(connection& c);

  std::string conninfo_;
  pool_options options_;
  semaphore permits_;  // one for each connection that is in use
  std::vector<idle_connection> idle_;
  bool closed_ = false;
};

inline task<pooled_connection> pool_state::acquire() {
  auto permit = co_await permits_.acquire();
  pooled_connection mine(shared_from_this(), std::move(permit));
  while (auto known = take_idle()) {
    const bool in_doubt = clock::now() - known->since >= options_.check_after_;
    if (in_doubt) {
      const bool there = co_await answers(known->c);
      if (!there) continue;
    }
    mine.connection_ = std::move(known->c);
    co_return mine;
  }
  mine.connection_ = co_await open();
  co_return mine;
}

inline task<connection> pool_state::open() {
  connection c = co_await connect(conninfo_);
  if (options_.on_connect_) co_await options_.on_connect_(c);
  co_return c;
}

/// The one that was used last, so that those which are not needed grow old.
inline std::optional<pool_state::idle_connection> pool_state::take_idle() noexcept {
  while (!idle_.empty()) {
    idle_connection last = std::move(idle_.back());
    idle_.pop_back();
    const bool too_old = clock::now() - last.since >= options_.max_idle_time_;
    if (!too_old && is_alive(last.c.native_handle())) return last;
  }
  return std::nullopt;
}

/// Whether the server has not hung up, as far as this machine knows.
inline bool pool_state::is_alive(PGconn* c) noexcept {
  for (int messages = 0; messages < 100; ++messages) {
    char byte = 0;
    const auto n = ::recv(PQsocket(c), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN && PQstatus(c) == CONNECTION_OK;
    if (n == 0 || PQconsumeInput(c) == 0) return false;  // else a notice, or a last word
  }
  return true;
}

/// One that does not is not waited for any longer than that.
inline task<bool> pool_state::answers(connection& c) {
  const auto usual = c.cancel_timeout();
  c.cancel_timeout(std::chrono::nanoseconds(0));
  try {
    const auto answer = co_await try_for(std::chrono::seconds(2), c.query(""));
    c.cancel_timeout(usual);
    co_return answer.has_value();
  } catch (const error&) {
    co_return false;
  }
}

inline void pool_state::give_back(connection c) noexcept {
  if (!closed_ && c.is_idle()) idle_.push_back({std::move(c), clock::now()});
}

}  // namespace detail

inline void pooled_connection::release() noexcept {
  if (pool_ == nullptr) return;
  pool_->give_back(std::move(connection_));
  permit_.release();
  pool_.reset();  // the permit's semaphore is in it
}

inline pool::~pool() { state_->close(); }
inline task<pooled_connection> pool::acquire() { return state_->acquire(); }
inline std::size_t pool::idle() const noexcept { return state_->idle(); }
inline std::size_t pool::in_use() const noexcept { return state_->in_use(); }
inline void pool::close_idle() noexcept { state_->close_idle(); }

inline task<rows> pool::run(detail::request r) {
  pooled_connection c = co_await acquire();
  co_return co_await c->execute(std::move(r));
}

template <typename F, typename... Args>
task<detail::body_result<F, Args...>> pool::run_transaction(F body, Args... args) {
  pooled_connection c = co_await acquire();
  co_return co_await c->transaction(std::move(body), std::move(args)...);
}

}  // namespace rondo::postgres
