// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// From a connection string to a session.
//
// Opening a connection is many small steps of libpq's, and some of them block or compute for long:
// names are looked up, certificates and password files read, and a password is hashed 4096
// times. So each step runs on a thread, and the socket is waited for on the loop in between.

#include <poll.h>
#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <rondo/core/task.hpp>
#include <rondo/io/ops/misc.hpp>
#include <rondo/postgres/error.hpp>
#include <rondo/postgres/libpq.hpp>
#include <rondo/postgres/session.hpp>
#include <rondo/threads/to_thread.hpp>
#include <rondo/time/timeout.hpp>

namespace rondo::postgres::detail {

/// Of a server that refuses, libpq has the text only. With PQERRORS_VERBOSE that is, in whatever
/// language, "...: FATAL:  28P01: password authentication failed", and the last line is where that is
/// in the server's source.
inline void take_out_code(std::string_view all, error_fields& fields) {
  const auto is_in_code = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); };
  for (auto at = all.rfind(":  "); at != all.npos && at != 0; at = all.rfind(":  ", at - 1)) {
    const std::string_view code = all.substr(at + 3, 5);
    if (!std::all_of(code.begin(), code.end(), is_in_code)) continue;
    if (!all.substr(at + 3 + code.size()).starts_with(": ")) continue;
    const std::string_view text = all.substr(at + 10);
    const auto last_line = text.find_last_of('\n', text.size() - 2);
    fields.sqlstate = code;
    fields.message = in_one_line(std::string(all.substr(0, at + 3)).append(text.substr(0, last_line)));
    return;
  }
}

inline error connect_error(const PGconn* connection) {
  error_fields fields = fields_of(connection, sqlstate::not_connected);
  take_out_code(PQerrorMessage(connection), fields);
  return error(error_kind::connect_failed, std::move(fields), "");
}

/// On a thread.
inline connection_handle start_connecting(const std::string& conninfo) {
  connection_handle c(PQconnectStart(conninfo.c_str()));
  if (!c) throw std::bad_alloc();
  if (PQstatus(c.get()) == CONNECTION_BAD) throw connect_error(c.get());
  PQsetErrorVerbosity(c.get(), PQERRORS_VERBOSE);
  return c;
}

/// libpq itself looks at connect_timeout only where it blocks. Zero: none.
inline std::chrono::seconds connect_timeout(PGconn* connection) {
  const libpq_handle<PQconninfoOption> options(PQconninfo(connection));
  if (!options) throw std::bad_alloc();
  for (const PQconninfoOption* o = options.get(); o->keyword != nullptr; ++o) {
    if (std::string_view(o->keyword) != "connect_timeout" || o->val == nullptr) continue;
    const std::string_view digits(o->val);
    int seconds = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    return std::chrono::seconds(seconds > 0 ? std::max(seconds, 2) : 0);  // 1 means 2 to libpq, too
  }
  return {};
}

inline task<> finish_connecting(PGconn* connection) {
  PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
  while (wanted != PGRES_POLLING_OK) {
    if (wanted == PGRES_POLLING_FAILED) throw connect_error(connection);
    const short what = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    static_cast<void>(co_await io::poll(PQsocket(connection), what));
    wanted = co_await to_thread(&PQconnectPoll, connection);
  }
}

inline task<connection_handle> open_connection(std::string conninfo) {
  connection_handle c = co_await to_thread(&start_connecting, std::move(conninfo));
  const auto limit = connect_timeout(c.get());
  if (limit == limit.zero()) {
    co_await finish_connecting(c.get());
  } else {
    const bool in_time = co_await try_for(limit, finish_connecting(c.get()));
    if (!in_time) {
      error_fields fields;
      fields.sqlstate = sqlstate::not_connected;
      fields.message = "no answer from the server within connect_timeout, " +
                       std::to_string(limit.count()) + " s";
      throw error(error_kind::connect_failed, std::move(fields), "");
    }
  }
  PQsetErrorVerbosity(c.get(), PQERRORS_DEFAULT);
  co_return c;
}

/// The codecs read times in the ISO style, which is a server's default.
inline task<std::unique_ptr<session>> open_session(std::string conninfo) {
  connection_handle c = co_await open_connection(std::move(conninfo));
  auto s = std::make_unique<session>(std::move(c));
  const char* const style = PQparameterStatus(s->native(), "DateStyle");
  if (style == nullptr || !std::string_view(style).starts_with("ISO")) {
    co_await s->execute(request("set datestyle = iso"));
  }
  co_return s;
}

}  // namespace rondo::postgres::detail
