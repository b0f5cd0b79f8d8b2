// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A request, put together step by step:
//
//     co_await session.send(http::request("POST", url).header("X-Trace",
//     id).json(order).timeout(5s));
//
//     http::request r("PUT", url);
//     r.body(std::move(bytes));
//     co_await session.send(std::move(r));
//
// Everything is copied or moved in, so it refers to nothing outside.
//
// Three limits, measured from the start of the await:
//   connect_timeout     until the connection (name look-up, TCP, TLS) is there; anew for each
//                       redirect, and not while the session has no connection left
//                       (max_connections)
//   first_byte_timeout  until the first byte of the answer
//   timeout             until the answer is complete
// What is not set here is taken from the session; zero or less means no limit.

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <rondo/config.hpp>
#include <rondo/http/header_map.hpp>

namespace rondo::http {

namespace detail {

class exchange;

struct time_limits {
  std::chrono::nanoseconds connect;
  std::chrono::nanoseconds first_byte;
  std::chrono::nanoseconds total;
};
inline constexpr std::chrono::nanoseconds not_set = std::chrono::nanoseconds::min();

[[nodiscard]] constexpr bool is_token(std::string_view text) noexcept {
  for (const char c : text) {  // RFC 9110, 5.6.2
    const bool letter = lower(c) >= 'a' && lower(c) <= 'z';
    const bool digit = c >= '0' && c <= '9';
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    if (!letter && !digit && others.find(c) == others.npos) return false;
  }
  return !text.empty();
}

/// Throws: std::invalid_argument for what would end the field and begin another one.
inline void add_field(header_map& fields, std::string_view name, std::string_view value) {
  if (!is_token(name)) {
    throw std::invalid_argument("\"" + std::string(name) + "\" is not the name of a header field");
  }
  if (value.find_first_of(std::string_view("\r\n\0", 3)) != value.npos) {
    throw std::invalid_argument("the value of the header field " + std::string(name) +
                                " contains a line end or a NUL");
  }
  fields.add(name, value);
}

}  // namespace detail

class request {
 public:
  /// Throws: std::invalid_argument when the method is no token. The URL is looked at when it is
  /// sent.
  request(std::string method, std::string url) : method_(std::move(method)), url_(std::move(url)) {
    if (!detail::is_token(method_)) {
      throw std::invalid_argument("\"" + method_ + "\" is not an HTTP method");
    }
  }

  /// Adds a header field; a name may come several times. It replaces the session's own of that
  /// name.
  /// Throws: std::invalid_argument for what is no name, or a value with a line end in it.
  request& header(std::string_view name, std::string_view value) & RONDO_LIFETIMEBOUND {
    detail::add_field(headers_, name, value);
    return *this;
  }
  request&& header(std::string_view name, std::string_view value) && RONDO_LIFETIMEBOUND {
    return std::move(header(name, value));
  }

  /// Sent as it is. Says nothing about its type: add a Content-Type.
  request& body(std::string bytes) & RONDO_LIFETIMEBOUND {
    body_ = std::move(bytes);
    has_body_ = true;
    return *this;
  }
  request&& body(std::string bytes) && RONDO_LIFETIMEBOUND {
    return std::move(body(std::move(bytes)));
  }

  /// A body of JSON, and its Content-Type if none was given. GCC 12 cannot take nlohmann's braces
  /// inside a co_await expression: make the value in a statement of its own.
  /// Throws: nlohmann::json::type_error when a string in it is not UTF-8.
  request& json(const nlohmann::json& value) & RONDO_LIFETIMEBOUND {
    body(value.dump());
    if (!headers_.contains("content-type")) headers_.add("Content-Type", "application/json");
    return *this;
  }
  request&& json(const nlohmann::json& value) && RONDO_LIFETIMEBOUND {
    return std::move(json(value));
  }

  request& connect_timeout(std::chrono::nanoseconds limit) & RONDO_LIFETIMEBOUND {
    limits_.connect = limit;
    return *this;
  }
  request&& connect_timeout(std::chrono::nanoseconds limit) && RONDO_LIFETIMEBOUND {
    return std::move(connect_timeout(limit));
  }

  request& first_byte_timeout(std::chrono::nanoseconds limit) & RONDO_LIFETIMEBOUND {
    limits_.first_byte = limit;
    return *this;
  }
  request&& first_byte_timeout(std::chrono::nanoseconds limit) && RONDO_LIFETIMEBOUND {
    return std::move(first_byte_timeout(limit));
  }

  request& timeout(std::chrono::nanoseconds limit) & RONDO_LIFETIMEBOUND {
    limits_.total = limit;
    return *this;
  }
  request&& timeout(std::chrono::nanoseconds limit) && RONDO_LIFETIMEBOUND {
    return std::move(timeout(limit));
  }

  [[nodiscard]] const std::string& method() const noexcept RONDO_LIFETIMEBOUND { return method_; }
  [[nodiscard]] const std::string& url() const noexcept RONDO_LIFETIMEBOUND { return url_; }

 private:
  friend detail::exchange;

  std::string method_;
  std::string url_;
  header_map headers_;
  std::string body_;
  bool has_body_ = false;
  detail::time_limits limits_{detail::not_set, detail::not_set, detail::not_set};
};

}  // namespace rondo::http
