// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// An answer: what came back, complete.
//
//     auto answer = co_await session.get(url);
//     answer.raise_for_status();
//     nlohmann::json prices = answer.json();

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <rondo/config.hpp>
#include <rondo/http/error.hpp>
#include <rondo/http/header_map.hpp>

namespace rondo::http {

namespace detail {
class head_lines;
class plain_transfer;
class received_body;
class received_head;
}

/// How long it took until each point was reached, from the start of the request; with redirects, of
/// the last request. Zero for what was not needed: a connection that was there already, no TLS.
struct request_timings {
  std::chrono::microseconds name_lookup{};
  std::chrono::microseconds connect{};
  std::chrono::microseconds tls{};
  std::chrono::microseconds first_byte{};
  std::chrono::microseconds total{};  // redirects included
};

/// An answer that sent the request on to another URL.
struct redirect {
  int status;
  std::string url;  // that was asked
};

class streamed_response;

class response {
 public:
  response() = default;

  int status = 0;
  header_map headers;  // after redirects, those of the last answer
  std::string url;  // where the answer came from: after redirects, not the one that was asked for
  std::vector<redirect> history;  // the answers before this one that were redirects
  request_timings timings;  // with a retry_policy, of the last attempt
  unsigned attempts = 1;    // how often the request was sent; see retry.hpp

  /// The body, decompressed, as bytes. libcurl does not tell whether the compressed data came to
  /// their own end: what a server has cut there, and sent whole otherwise, counts as complete.
  [[nodiscard]] const std::string& text() const& noexcept RONDO_LIFETIMEBOUND { return body_; }
  [[nodiscard]] std::string text() && noexcept { return std::move(body_); }

  /// The body as JSON. Throws: http::error of kind invalid_json, which says where.
  [[nodiscard]] nlohmann::json json() const;

  [[nodiscard]] bool ok() const noexcept { return status < 400; }

  /// Throws: http::error of kind status, for 400 and higher.
  const response& raise_for_status() const& RONDO_LIFETIMEBOUND {
    if (!ok()) throw_status();
    return *this;
  }
  response raise_for_status() && {
    if (!ok()) throw_status();
    return std::move(*this);
  }

 private:
  friend detail::head_lines;
  friend detail::plain_transfer;
  friend detail::received_body;
  friend detail::received_head;
  friend streamed_response;

  [[noreturn]] void throw_status() const;

  std::string method_;
  std::string reason_;
  std::string body_;
};

// Implementation

namespace detail {

/// For servers that send none, as all do in HTTP/2.
inline std::string_view reason_of(int status) noexcept {
  switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return status < 500 ? "the server refused the request" : "the server failed";
  }
}

}  // namespace detail

inline void response::throw_status() const {
  std::string cause = std::to_string(status) + " ";
  cause += reason_.empty() ? detail::reason_of(status) : std::string_view(reason_);
  throw error(error_kind::status, method_, url, cause, timeout_kind::none, status);
}

inline nlohmann::json response::json() const {
  try {
    return nlohmann::json::parse(body_);
  } catch (const nlohmann::json::parse_error& e) {
    // "[json.exception.parse_error.101] parse error at line 1, column 1: syntax error while ..."
    std::string_view where = e.what();
    if (const auto bracket = where.find("] "); bracket != where.npos)
      where.remove_prefix(bracket + 2);
    throw error(error_kind::invalid_json, method_, url,
                "the body is not JSON: " + std::string(where));
  }
}

}  // namespace rondo::http
