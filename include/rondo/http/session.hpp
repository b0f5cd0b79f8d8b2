// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A session: a pool of connections, and the requests that use them. Make one and keep it.
//
//     rondo::http::session s;
//     auto [a, b] = co_await rondo::when_all(s.get(x), s.get(y));         // at the same time
//     auto page = co_await rondo::with_timeout(5s, s.get(url));
//     auto done = co_await s.send(http::request("POST", url).json(order));
//
// Connections are kept and used again, TLS certificates are verified, redirects followed, cookies
// kept, bodies decompressed, and the proxies of the environment used (http_proxy, https_proxy,
// no_proxy), all by libcurl. Names are looked up by a thread of libcurl's.

#include <string>
#include <utility>

#include <rondo/http/request.hpp>
#include <rondo/http/response.hpp>
#include <rondo/http/session_options.hpp>
#include <rondo/http/transfer.hpp>

namespace rondo::http {

/// Each request can be awaited and given to every combinator, and needs no coroutine of its own
/// there.
///
/// Gives: a response, whatever its status.
/// Completes when: the whole body has arrived. It is kept in memory, however large it is.
/// Keep alive: the session, until its requests have ended. Everything else is copied.
/// In flight: any number of requests.
/// Canceled: gives up the request and its connection; the session stays usable.
/// Throws: http::error, which names the URL and the cause; std::logic_error when the session is
/// used on two loops at once. One after the other is fine, and so is a session that outlives its
/// loop.
/// Thread: that of the loop.
class session {
 public:
  session() : session(session_options()) {}
  /// Throws: std::bad_alloc; std::runtime_error when libcurl cannot be set up.
  explicit session(session_options options) : driver_(new detail::driver(std::move(options))) {}

  auto get(std::string url) { return send(request("GET", std::move(url))); }
  auto head(std::string url) { return send(request("HEAD", std::move(url))); }
  auto delete_(std::string url) { return send(request("DELETE", std::move(url))); }
  /// The body is sent as it is, without a Content-Type; for that, and for JSON, see request.
  auto post(std::string url, std::string body) {
    return send(request("POST", std::move(url)).body(std::move(body)));
  }
  auto put(std::string url, std::string body) {
    return send(request("PUT", std::move(url)).body(std::move(body)));
  }
  auto patch(std::string url, std::string body) {
    return send(request("PATCH", std::move(url)).body(std::move(body)));
  }

  [[nodiscard]] detail::transfer_description send(request r) {
    RONDO_ASSERT(driver_ != nullptr, "a moved-from http::session was used");
    return detail::transfer_description(*driver_, std::move(r));
  }

 private:
  detail::driver_handle driver_;
};

}  // namespace rondo::http
