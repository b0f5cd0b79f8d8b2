// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// libpq's objects as owners that free them.

#include <memory>

#include <libpq-fe.h>

namespace rondo::postgres::detail {

struct libpq_deleter {
  void operator()(PGconn* c) const noexcept { PQfinish(c); }
  void operator()(PGresult* r) const noexcept { PQclear(r); }
  void operator()(PGcancel* c) const noexcept { PQfreeCancel(c); }
  void operator()(PGnotify* n) const noexcept { PQfreemem(n); }
  void operator()(PQconninfoOption* o) const noexcept { PQconninfoFree(o); }
  void operator()(char* text) const noexcept { PQfreemem(text); }
};

template <typename T>
using libpq_handle = std::unique_ptr<T, libpq_deleter>;

/// A connection of libpq's: its socket, and what was read and not used yet, or not sent yet.
using connection_handle = libpq_handle<PGconn>;
/// What the server answered to one statement: rows, "done", or an error.
using result_handle = libpq_handle<PGresult>;

}  // namespace rondo::postgres::detail
