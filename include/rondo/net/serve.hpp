// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// serve: a task for each connection, and what a service needs around that: a limit, errors that end
// one connection and not the others, and an orderly end.
//
//     rondo::task<> talk(rondo::tcp_stream peer);
//
//     co_await serve(listener, talk);
//     co_await serve(listener, talk_about, {.max_connections = 100, .grace = 5s}, std::ref(topic));

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <stdexcept>
#include <system_error>
#include <type_traits>
#include <utility>

#include <rondo/compose/as_result.hpp>
#include <rondo/compose/cancellation.hpp>
#include <rondo/compose/shield.hpp>
#include <rondo/core/task.hpp>
#include <rondo/loop/event_loop.hpp>
#include <rondo/net/accept_many.hpp>
#include <rondo/net/connections.hpp>
#include <rondo/time/timeout.hpp>

namespace rondo {

/// A trivial aggregate: safe inside a co_await expression on every compiler.
struct serve_options {
  /// No more are accepted at a time; others wait in the listener's backlog.
  std::size_t max_connections = 1024;
  /// How long the handlers may go on when the service ends, before they are canceled.
  std::chrono::nanoseconds grace{0};
};
static_assert(std::is_trivially_destructible_v<serve_options>);

/// Accepts connections and starts `handler(stream, args...)`, which gives a task<>, for each. The
/// handler and the arguments are copied once, and live as long as the last connection.
///
/// Completes when: the listener is closed, and all handlers have ended.
/// An error in a handler ends its connection, and is reported to loop_options::on_unhandled. So is
/// that there is no free descriptor (EMFILE), once; accepting goes on when there is room.
/// Throws: std::system_error when the listener cannot accept any more (it is none, for example);
/// std::invalid_argument for a limit of 0.
/// Canceled: accepts no more, and gives the handlers `grace`; then cancels them, and waits for their
/// end. The listener stays open, and who connects then waits in it: close it to send them away.
/// Keep alive: the listener; one that is given away, as `serve(tcp_listener::bind(here), talk)`, is
/// closed when the service ends. Mind that GCC 12 destroys captures of a lambda temporary twice inside a
/// co_await expression: name such a lambda, or pass arguments.
template <typename Listener, typename Handler, typename... Args>
task<> serve(Listener& listener, Handler handler, serve_options options = {}, Args... args);
template <typename Listener, typename Handler, typename... Args>
  requires(!std::is_reference_v<Listener>)
task<> serve(Listener&& listener, Handler handler, serve_options options = {}, Args... args);

// Implementation

namespace detail {

template <typename = on_use>
task<> until_all_have_ended(connections& open) {
  while (open.size() != 0) co_await open.change();
}

template <typename = on_use>
task<> end_connections(connections& open, std::chrono::nanoseconds grace) {
  if (grace > grace.zero()) co_await try_for(grace, until_all_have_ended(open));
  open.cancel();
  co_await until_all_have_ended(open);
}

/// Gives up when the listener is closed.
template <typename Listener, typename Start>
task<> accept_connections(Listener& listener, connections& open, std::size_t most, Start& start) {
  bool told = false;
  for (bool first = true;; first = false) {
    while (open.size() >= most) co_await open.change();
    if (!first && !listener) co_return;  // closed while nothing was in flight on it
    auto peer = co_await as_result(listener.accept());
    if (peer) {
      told = false;
      start(std::move(*peer));
      continue;
    }
    const std::error_code code = peer.error();
    if (code == errc::canceled) co_await checkpoint();
    if (code == errc::closed) co_return;
    const std::system_error error(code, "accept");
    switch (accept_trouble_of(code.value())) {
      case accept_trouble::peer_has_gone:
        break;
      case accept_trouble::no_room:
        if (!std::exchange(told, true)) open.report(std::make_exception_ptr(error));
        co_await try_for(accept_pause, open.change());  // a connection that ends makes room
        break;
      default:
        throw error;
    }
  }
}

}  // namespace detail

template <typename Listener, typename Handler, typename... Args>
task<> serve(Listener& listener, Handler handler, serve_options options, Args... args) {
  using stream = await_result_t<decltype(listener.accept())>;
  static_assert(std::is_same_v<std::invoke_result_t<Handler&, stream, Args&...>, task<>>,
                "serve: handler(stream, args...) gives a task<>");
  if (options.max_connections == 0) {
    throw std::invalid_argument("serve: max_connections of 0 would serve nobody");
  }
  detail::connections open(event_loop::current());
  auto start = [&](stream&& peer) noexcept {
    try {
      open.add(std::invoke(handler, std::move(peer), args...));
    } catch (...) {
      open.report(std::current_exception());
    }
  };
  std::exception_ptr failure;
  try {
    co_await detail::accept_connections(listener, open, options.max_connections, start);
    co_await detail::until_all_have_ended(open);
  } catch (...) {
    failure = std::current_exception();
  }
  co_await shield(detail::end_connections(open, options.grace));
  if (failure) std::rethrow_exception(failure);
}

namespace detail {
template <typename Listener, typename Handler, typename... Args>
task<> serve_and_close(Listener listener, Handler handler, serve_options options, Args... args) {
  Listener open = std::move(listener);  // an argument would stay until the task is destroyed
  co_await serve(open, std::move(handler), options, std::move(args)...);
}
}  // namespace detail

template <typename Listener, typename Handler, typename... Args>
  requires(!std::is_reference_v<Listener>)
task<> serve(Listener&& listener, Handler handler, serve_options options, Args... args) {
  return detail::serve_and_close(std::move(listener), std::move(handler), options,
                                 std::move(args)...);
}

}  // namespace rondo
