// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What can go wrong with a request, as one exception that says it in one line:
//
//     GET http://127.0.0.1:1/x: connection refused
//     GET https://10.0.0.7/: the server's certificate is not trusted: self-signed certificate (give
//     ...)
//
// `kind()` is for programs, `what()` for people. An answer that arrives is no error, whatever its
// status; `response::raise_for_status` makes one of it.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <rondo/config.hpp>

namespace rondo::http {

enum class error_kind {
  invalid_url = 1,     // not a URL, or neither http nor https; or that of the proxy
  name_not_resolved,   // of the host, or of the proxy
  connection_refused,  // nobody listens there
  connect_failed,      // any other reason why there is no connection, as a proxy that refuses one
  tls,                 // the handshake failed, or the certificate was not accepted
  timeout,             // error::timeout() tells which limit
  connection_lost,     // hung up before the answer was complete
  too_many_redirects,
  protocol,            // the answer is not HTTP, or breaks its rules
  status,              // raise_for_status: 400 or higher
  invalid_json,        // response::json: the body is not JSON
  out_of_memory,
  other,
};

/// The limits of a request; see request.
enum class timeout_kind { none, connect, first_byte, total };

class RONDO_VISIBLE error_category_type final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "rondo::http"; }
  [[nodiscard]] std::string message(int kind) const override;
  [[nodiscard]] std::error_condition default_error_condition(int kind) const noexcept override;
};

[[nodiscard]] inline const std::error_category& error_category() noexcept {
  static const error_category_type category;
  return category;
}

[[nodiscard]] inline std::error_code make_error_code(error_kind kind) noexcept {
  return {static_cast<int>(kind), error_category()};
}

/// `code()` is the kind, too; it equals std::errc::timed_out, connection_refused, ... where there
/// is such a condition.
class RONDO_VISIBLE error : public std::system_error {
 public:
  /// `cause` follows "METHOD URL: ".
  error(error_kind kind, std::string_view method, std::string url, std::string_view cause,
        timeout_kind timeout = timeout_kind::none, int status = 0);

  [[nodiscard]] error_kind kind() const noexcept { return static_cast<error_kind>(code().value()); }
  /// As it was asked for; of an answer (status, invalid_json), where that came from.
  [[nodiscard]] const std::string& url() const noexcept { return text_->url; }
  /// Which limit was exceeded; none unless kind() is timeout.
  [[nodiscard]] timeout_kind timeout() const noexcept { return timeout_; }
  /// Of the answer; 0 unless kind() is status.
  [[nodiscard]] int status() const noexcept { return status_; }
  /// One line. A password in the URL is not shown.
  [[nodiscard]] const char* what() const noexcept override { return text_->what.c_str(); }

 private:
  struct text {
    std::string url;
    std::string what;
  };
  std::shared_ptr<const text> text_;  // shared, because copying an exception must not throw
  timeout_kind timeout_;
  int status_;
};

}  // namespace rondo::http

template <>
struct std::is_error_code_enum<rondo::http::error_kind> : std::true_type {};

// Implementation

namespace rondo::http {

namespace detail {

/// user:password@ becomes user:***@.
inline std::string without_password(std::string_view url) {
  // libcurl takes one to three slashes behind a scheme, and URLs without one.
  const auto scheme = url.find(":/");
  const bool has_scheme = scheme != url.npos && url.find_first_of("/?#@") > scheme;
  const auto begin =
      has_scheme ? std::min(url.find_first_not_of('/', scheme + 1), url.size()) : std::size_t{0};
  const auto host = url.substr(begin, url.find_first_of("/?#", begin) - begin).rfind('@');
  if (host == url.npos) return std::string(url);
  const auto colon = url.substr(begin, host).find(':');
  if (colon == url.npos) return std::string(url);
  return std::string(url.substr(0, begin + colon + 1)) + "***" +
         std::string(url.substr(begin + host));
}

/// Servers and other libraries have a say in these texts.
inline std::string in_one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return text;
}

}  // namespace detail

inline error::error(error_kind kind, std::string_view method, std::string url,
                    std::string_view cause, timeout_kind timeout, int status)
    : std::system_error(make_error_code(kind)), timeout_(timeout), status_(status) {
  text t;
  t.what = std::string(method) + " " + detail::without_password(url) + ": ";
  t.what = detail::in_one_line(std::move(t.what.append(cause)));
  t.url = std::move(url);
  text_ = std::make_shared<const text>(std::move(t));
}

inline std::string error_category_type::message(int kind) const {
  switch (static_cast<error_kind>(kind)) {
    case error_kind::invalid_url: return "invalid URL";
    case error_kind::name_not_resolved: return "name not resolved";
    case error_kind::connection_refused: return "connection refused";
    case error_kind::connect_failed: return "no connection";
    case error_kind::tls: return "TLS failed";
    case error_kind::timeout: return "timed out";
    case error_kind::connection_lost: return "connection lost";
    case error_kind::too_many_redirects: return "too many redirects";
    case error_kind::protocol: return "not valid HTTP";
    case error_kind::status: return "error status";
    case error_kind::invalid_json: return "not valid JSON";
    case error_kind::out_of_memory: return "out of memory";
    case error_kind::other: break;
  }
  return "HTTP request failed";
}

inline std::error_condition error_category_type::default_error_condition(int kind) const noexcept {
  switch (static_cast<error_kind>(kind)) {
    case error_kind::invalid_url: return std::errc::invalid_argument;
    case error_kind::connection_refused: return std::errc::connection_refused;
    case error_kind::timeout: return std::errc::timed_out;
    case error_kind::connection_lost: return std::errc::connection_reset;
    case error_kind::protocol: return std::errc::protocol_error;
    case error_kind::out_of_memory: return std::errc::not_enough_memory;
    default: return {kind, *this};
  }
}

}  // namespace rondo::http
