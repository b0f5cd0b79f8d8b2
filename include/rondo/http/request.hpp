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
//     auto file = co_await rondo::file::open("disk.iso");
//     co_await session.send(http::request("PUT", url).body(std::move(file)));
//
// Everything is copied or moved in, so it refers to nothing outside.
//
// Three limits, measured from the start of the await:
//   connect_timeout     until the connection (name look-up, TCP, TLS) is there; anew for each
//                       redirect, and not while the session has no connection left
//                       (max_connections)
//   first_byte_timeout  until the first byte of the answer
//   timeout             until the answer is complete
// What is not set here is taken from the session; zero or less means no limit. With a retry_policy
// the first two are for each attempt, and the last is for all of them.

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <rondo/config.hpp>
#include <rondo/core/async_generator.hpp>
#include <rondo/core/error.hpp>
#include <rondo/http/body_source.hpp>
#include <rondo/http/header_map.hpp>
#include <rondo/http/retry.hpp>
#include <rondo/io/async_stream.hpp>

namespace rondo::http {

namespace detail {

class attempts;
class exchange;
class received_body;
class setup;
class transfer_state;

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
inline void check_value(std::string_view name, std::string_view value) {
  if (value.find_first_of(std::string_view("\r\n\0", 3)) != value.npos) {
    throw std::invalid_argument("the value of the header field " + std::string(name) +
                                " contains a line end or a NUL");
  }
}
/// Throws: std::invalid_argument, the same and for what is no name.
inline void add_field(header_map& fields, std::string_view name, std::string_view value) {
  if (!is_token(name)) {
    throw std::invalid_argument("\"" + std::string(name) + "\" is not the name of a header field");
  }
  check_value(name, value);
  fields.add(name, value);
}

/// What is not unreserved is written as %XX (RFC 3986, 2.1 and 2.3).
inline void append_encoded(std::string& to, std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  constexpr std::string_view unreserved = "-._~";
  for (const char c : text) {
    const bool letter = lower(c) >= 'a' && lower(c) <= 'z';
    const bool digit = c >= '0' && c <= '9';
    if (letter || digit || unreserved.find(c) != unreserved.npos) {
      to += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    to += '%';
    to += digits[byte >> 4];
    to += digits[byte & 15];
  }
}
inline void append_pair(std::string& to, std::string_view name, std::string_view value) {
  append_encoded(to, name);
  to += '=';
  append_encoded(to, value);
}

/// What basic_auth says of itself (RFC 7617, 2).
inline void check_user(std::string_view name) {
  if (name.find(':') != name.npos) {
    throw std::invalid_argument("a user's name for basic_auth has no colon in it");
  }
}

struct credentials {
  std::string user;
  std::string password;
};

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

  /// Adds `name=value` to the query of the URL, encoded: "?q=a%20b".
  request& query(std::string_view name, std::string_view value) & RONDO_LIFETIMEBOUND {
    const auto fragment = std::min(url_.find('#'), url_.size());
    const bool first = url_.find('?') >= fragment;
    std::string pair(1, first ? '?' : '&');
    detail::append_pair(pair, name, value);
    url_.insert(fragment, pair);
    return *this;
  }
  request&& query(std::string_view name, std::string_view value) && RONDO_LIFETIMEBOUND {
    return std::move(query(name, value));
  }

  /// Adds a field of a form to the body (application/x-www-form-urlencoded).
  request& form(std::string_view name, std::string_view value) & RONDO_LIFETIMEBOUND {
    if (!body_.empty()) body_ += '&';
    detail::append_pair(body_, name, value);
    has_body_ = true;
    source_ = nullptr;
    if (!headers_.contains("content-type")) {
      headers_.add("Content-Type", "application/x-www-form-urlencoded");
    }
    return *this;
  }
  request&& form(std::string_view name, std::string_view value) && RONDO_LIFETIMEBOUND {
    return std::move(form(name, value));
  }

  /// Authorization: Basic. Not sent on to another host after a redirect.
  /// Throws: std::invalid_argument when there is a colon in the name.
  request& basic_auth(std::string user, std::string password) & RONDO_LIFETIMEBOUND {
    detail::check_user(user);
    credentials_ = {std::move(user), std::move(password)};
    return *this;
  }
  request&& basic_auth(std::string user, std::string password) && RONDO_LIFETIMEBOUND {
    return std::move(basic_auth(std::move(user), std::move(password)));
  }
  /// Authorization: Bearer. Not sent on to another host after a redirect.
  /// Throws: std::invalid_argument when there is a line end in the token.
  request& bearer_auth(std::string_view token) & RONDO_LIFETIMEBOUND {
    return header("Authorization", "Bearer " + std::string(token));
  }
  request&& bearer_auth(std::string_view token) && RONDO_LIFETIMEBOUND {
    return std::move(bearer_auth(token));
  }

  /// Sent as it is. Says nothing about its type: add a Content-Type.
  request& body(std::string bytes) & RONDO_LIFETIMEBOUND {
    body_ = std::move(bytes);
    has_body_ = true;
    source_ = nullptr;
    return *this;
  }
  request&& body(std::string bytes) && RONDO_LIFETIMEBOUND {
    return std::move(body(std::move(bytes)));
  }

  /// A body that is produced while it is sent: what a generator gives (strings, spans of bytes), or
  /// what is read from a stream that is given away, such as a file. It is asked for the next part
  /// when libcurl has taken the one before, so one part is in memory at a time, and only while the
  /// request is awaited; with the request it is canceled, and when the server refuses the body or
  /// goes on without it. HEAD sends none.
  ///
  /// Without a size the body goes in chunks. With one, in bytes, the server is told it, and has the
  /// body when it has so many: its answer may come before the source has ended, which is canceled
  /// then. So fewer bytes are an error, and more may go unnoticed.
  ///
  /// It can be sent once: copies of the request share it, and a redirect that wants it again (307
  /// and 308; of other methods than POST 301 and 302, too) is an error when some of it is gone, as
  /// is a kept connection that turns out to be dead. With libcurl before 8.7, a server that closes
  /// the connection, or sends a redirect before it was sent anything, is noticed only when the source
  /// has given its next part. With libcurl from 7.88 to 8.0 it goes over HTTP/1.1, as does one of more
  /// than 64 KiB that is there as a whole: over HTTP/2 these lose the answers of servers that refuse a
  /// body early. A server that speaks HTTP/2 only cannot be sent one with them.
  ///
  /// Throws: the request, what the generator or the stream throws; std::length_error for fewer
  /// bytes than `size`, and for more that were noticed; std::logic_error when it was sent before.
  template <detail::body_part T>
  request& body(async_generator<T> parts,
                std::optional<std::uint64_t> size = {}) & RONDO_LIFETIMEBOUND {
    return produced_by(std::make_shared<detail::generated_body<T>>(std::move(parts), size));
  }
  template <async_reader S>
  request& body(S stream, std::optional<std::uint64_t> size = {}) & RONDO_LIFETIMEBOUND {
    return produced_by(std::make_shared<detail::read_body<S>>(std::move(stream), size));
  }
  template <detail::body_part T>
  request&& body(async_generator<T> parts,
                 std::optional<std::uint64_t> size = {}) && RONDO_LIFETIMEBOUND {
    return std::move(body(std::move(parts), size));
  }
  template <async_reader S>
  request&& body(S stream, std::optional<std::uint64_t> size = {}) && RONDO_LIFETIMEBOUND {
    return std::move(body(std::move(stream), size));
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

  /// Whether it is sent again when it fails; see retry.hpp. Default: what the session has for all.
  request& retry(retry_policy policy) & RONDO_LIFETIMEBOUND {
    retry_ = std::move(policy);
    return *this;
  }
  request&& retry(retry_policy policy) && RONDO_LIFETIMEBOUND {
    return std::move(retry(std::move(policy)));
  }

  [[nodiscard]] const std::string& method() const noexcept RONDO_LIFETIMEBOUND { return method_; }
  [[nodiscard]] const std::string& url() const noexcept RONDO_LIFETIMEBOUND { return url_; }

 private:
  friend detail::attempts;
  friend detail::exchange;
  friend detail::setup;
  friend detail::received_body;
  friend detail::transfer_state;

  request& produced_by(std::shared_ptr<detail::body_source> source) {
    source_ = std::move(source);
    body_.clear();
    has_body_ = false;
    return *this;
  }

  std::string method_;
  std::string url_;
  header_map headers_;
  std::string body_;
  bool has_body_ = false;
  std::shared_ptr<detail::body_source> source_;  // instead of both
  std::optional<detail::credentials> credentials_;
  detail::time_limits limits_{detail::not_set, detail::not_set, detail::not_set};
  std::optional<retry_policy> retry_;
  unsigned attempt_ = 1;                        // which of them this is
  time_point complete_by_ = time_point::max();  // max: what limits_ says
};

}  // namespace rondo::http
