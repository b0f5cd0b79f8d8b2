// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What libcurl sends a second time by itself: a request on a connection that it had kept, when that
// ends before anything of the answer has come. So looks a server's closing of an idle connection;
// and so looks a server that has done what it was asked for and died. Here the second one counts,
// where the method says that it matters: what may not be done twice is refused before it is sent
// again, and fails as if its connection had been new.
//
// Over HTTP/2 a server can say that it has not looked at a request (RFC 9113, 8.7), as all do that
// close a connection in good order; libcurl sends those again, too, and does not tell them apart.
// So of a connection over TLS all are sent again, unless it has answered in HTTP/1 before: one that
// has not answered yet and is used again can only be of HTTP/2, which does not wait for answers.
//
// Needs libcurl 7.80 (CURLOPT_PREREQFUNCTION); an older one is not held back.

#include <cstddef>
#include <new>
#include <string_view>
#include <utility>
#include <vector>

#include <rondo/http/curl.hpp>
#include <rondo/http/header_map.hpp>

namespace rondo::http::detail {

/// Whether to do it twice is to do it once (RFC 9110, 9.2.2).
[[nodiscard]] inline bool is_idempotent(std::string_view method) noexcept {
  for (const std::string_view name : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}) {
    if (method == name) return true;
  }
  return false;
}

[[nodiscard]] inline bool is_over_tls(CURL* easy) noexcept {
  const char* const scheme = info<char*>(easy, CURLINFO_SCHEME);
  return scheme != nullptr && same_name(scheme, "https");
}

/// The ports on our side of a session's connections that have answered in HTTP/1 over TLS. One is
/// known for ever, since connections to different servers may share it: one of HTTP/2 that has it
/// later, and is lost, is taken for the other, and nothing is sent twice.
class http1_ports {
 public:
  void note(long port) noexcept {
    if (port < 0 || port > 0xffff) return;
    try {
      ports_.resize(0x10000);
      ports_[static_cast<std::size_t>(port)] = true;
    } catch (const std::bad_alloc&) {
      any_ = true;
    }
  }
  [[nodiscard]] bool may_have(int port) const noexcept {
    const auto place = static_cast<std::size_t>(port);
    return any_ || port <= 0 || (place < ports_.size() && ports_[place]);
  }

 private:
  std::vector<bool> ports_;
  bool any_ = false;  // there was no memory to note one
};

/// Of one transfer.
class resending {
 public:
  /// Keep alive, and in place, until the transfer has ended: all three.
  void hold_back([[maybe_unused]] option_setter& set, [[maybe_unused]] CURL* easy,
                 [[maybe_unused]] const http1_ports& known) noexcept {
#if CURL_AT_LEAST_VERSION(7, 80, 0)
    easy_ = easy;
    known_ = &known;
    set(CURLOPT_PREREQFUNCTION, &resending::before);
    set(CURLOPT_PREREQDATA, static_cast<void*>(this));
#endif
  }
  /// Something of an answer has come: what is sent now is another request, after a redirect.
  void answered() noexcept { waiting_ = false; }
  /// Whether the transfer ended for that.
  [[nodiscard]] bool was_refused() const noexcept { return refused_; }

 private:
#if CURL_AT_LEAST_VERSION(7, 80, 0)
  static int before(void* self, char*, char*, int, int port) noexcept {
    auto& r = *static_cast<resending*>(self);
    const int lost = std::exchange(r.port_, port);
    if (!std::exchange(r.waiting_, true)) return CURL_PREREQFUNC_OK;
    if (is_over_tls(r.easy_) && !r.known_->may_have(lost)) return CURL_PREREQFUNC_OK;
    r.refused_ = true;
    return CURL_PREREQFUNC_ABORT;
  }
#endif

  CURL* easy_ = nullptr;
  const http1_ports* known_ = nullptr;
  int port_ = 0;          // of the connection that it was last sent on
  bool waiting_ = false;  // sent, and not answered
  bool refused_ = false;
};

}  // namespace rondo::http::detail
