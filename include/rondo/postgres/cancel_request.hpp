// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Asking the server to end what it executes for a connection: the protocol's own request, which
// goes over a connection of its own (PostgreSQL's documentation, 55.2.8).
//
// libpq's call for that blocks: it connects, and then waits until the server hangs up, which tells
// that the request was passed on. Against a server that has lost its network that takes minutes,
// against one that is frozen for ever; so it runs on a thread that nobody has to join. It owns all
// that it uses.

#include <csignal>
#include <new>
#include <thread>
#include <utility>

#include <rondo/postgres/libpq.hpp>
#include <rondo/threads/oneshot.hpp>

namespace rondo::postgres::detail {

/// Gives what is set when the request has done its work, or failed: what is executed later on the
/// connection is safe from it.
/// Throws: std::bad_alloc; std::system_error when there is no thread.
inline oneshot<> request_cancel(PGconn* connection) {
  libpq_handle<PGcancel> target(PQgetCancel(connection));
  if (!target) throw std::bad_alloc();
  const oneshot<> passed_on;
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // signals, SIGPIPE too, are for other threads
  try {
    std::thread([passed_on, target = std::move(target)] {
      char message[256];
      PQcancel(target.get(), message, sizeof message);
      passed_on.set_value();
    }).detach();
  } catch (...) {
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return passed_on;
}

}  // namespace rondo::postgres::detail
