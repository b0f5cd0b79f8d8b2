// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A session: a pool of connections, and the requests that use them. Make one and keep it.
//
//     rondo::http::session s;
//     auto [a, b] = co_await rondo::when_all(s.get(x), s.get(y));         // at the same time
//     auto page = co_await rondo::with_timeout(5s, s.get(url));
//     auto done = co_await s.send(http::request("POST", url).json(order));
//     co_await s.download(url, "disk.iso", [](auto received, auto total) { draw(received, total); });
//
// Connections are kept and used again, TLS certificates are verified, redirects followed, cookies
// kept, bodies decompressed, and the proxies of the environment used (http_proxy, https_proxy,
// no_proxy), all by libcurl. Names are looked up by a thread of libcurl's.

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include <rondo/core/task.hpp>
#include <rondo/fs/write_file_atomically.hpp>
#include <rondo/http/attempts.hpp>
#include <rondo/http/download.hpp>
#include <rondo/http/received_body.hpp>
#include <rondo/http/request.hpp>
#include <rondo/http/response.hpp>
#include <rondo/http/session_options.hpp>
#include <rondo/http/streamed_response.hpp>
#include <rondo/http/transfer.hpp>
#include <rondo/io/path.hpp>

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
/// used on two loops at once. One after the other is fine: once the run of the first has ended, and
/// what was kept of its streams is gone or at its end; with a loop, its streams end as canceled.
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
    return detail::transfer_description(in_use(), std::move(r));
  }

  /// For a body that is read as it comes; see streamed_response. Every limit holds as for a request
  /// that is awaited whole, the total until the end of the body: a stream without an end needs
  /// `request(...).timeout(0s)`.
  /// Completes when: the head of the answer is there, and the body of the request, if it is produced
  /// while it is sent, was sent or is not wanted; what comes of the answer until then is kept in
  /// memory. Canceled, gives up the request.
  [[nodiscard]] task<streamed_response> stream(request r) {
    return begin(in_use(), std::move(r));
  }

  /// Fetches into a file, which is made or replaced in one step when everything is there
  /// (fs/write_file_atomically.hpp); until then, and after an error or a cancellation, it is as it
  /// was. A status of 400 or more is an error. After each part progress(received, total) is called:
  /// bytes, and of how many, 0 if the server does not say.
  /// Gives: how many bytes the file has. Throws: http::error; std::system_error for the file.
  template <std::invocable<std::uint64_t, std::uint64_t> Progress = detail::no_progress>
  [[nodiscard]] task<std::uint64_t> download(request r, rondo::detail::path_argument to,
                                             Progress progress = {}) {
    return save(in_use(), std::move(r), std::move(to), std::move(progress));
  }
  template <std::invocable<std::uint64_t, std::uint64_t> Progress = detail::no_progress>
  [[nodiscard]] task<std::uint64_t> download(std::string url, rondo::detail::path_argument to,
                                             Progress progress = {}) {
    return download(request("GET", std::move(url)), std::move(to), std::move(progress));
  }

 private:
  /// The driver stays where it is when the session is moved; what is awaited later keeps that.
  [[nodiscard]] detail::driver& in_use() const {
    RONDO_ASSERT(driver_ != nullptr, "a moved-from http::session was used");
    return *driver_;
  }
  static task<streamed_response> begin(detail::driver& d, request r) {
    const detail::driver::in_use now(d);
    detail::attempts course(d.options(), r, event_loop::current());
    for (;;) {
      {
        auto body = std::make_unique<detail::received_body>(d, course.next(std::move(r)));
        try {
          co_await body->begin_and_wait();
          if (!course.goes_on_after(body->head())) co_return streamed_response(std::move(body));
        } catch (const error& e) {
          if (!course.goes_on_after(e)) throw;
        }
        r = body->take_back();
      }
      co_await course.wait();
    }
  }
  template <typename Progress>
  static task<std::uint64_t> save(detail::driver& d, request r, rondo::detail::path_argument to,
                                  Progress progress) {
    streamed_response answer = co_await begin(d, std::move(r));
    answer.raise_for_status();
    std::uint64_t received = 0;
    const detail::download_into<Progress> fill{answer, progress, received};
    co_await rondo::detail::replace_whole_file(std::move(to), fill);
    co_return received;
  }

  detail::driver_handle driver_;
};

}  // namespace rondo::http
