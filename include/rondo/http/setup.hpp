// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What libcurl is told of a request: its own wishes, and those of its session where it has none.

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <string_view>

#include <rondo/http/curl.hpp>
#include <rondo/http/header_map.hpp>
#include <rondo/http/request.hpp>
#include <rondo/http/session_options.hpp>

namespace rondo::http::detail {

class setup {
 public:
  setup(const session_options& options, request& r) noexcept : options_(options), request_(r) {}

  /// The limits of the request, those of the session included.
  [[nodiscard]] time_limits limits() const noexcept;

  /// Tells libcurl, up to the first failure. It keeps no copy of the body, nor of `fields`, which
  /// this makes: both stay until the transfer has ended.
  /// Throws: std::bad_alloc.
  void operator()(option_setter& set, string_list& fields);

 private:
  void url(option_setter& set);
  void method(option_setter& set) noexcept;
  [[nodiscard]] bool may_be_refused_early() const noexcept;
  void tls(option_setter& set) noexcept;
  void credentials(option_setter& set) noexcept;
  [[nodiscard]] bool make_fields(string_list& fields) const;

  const session_options& options_;
  request& request_;
};

// Implementation

inline time_limits setup::limits() const noexcept {
  time_limits limits = request_.limits_;
  const time_limits& usual = options_.limits_;
  if (limits.connect == not_set) limits.connect = usual.connect;
  if (limits.first_byte == not_set) limits.first_byte = usual.first_byte;
  if (limits.total == not_set) limits.total = usual.total;
  return limits;
}

inline void setup::operator()(option_setter& set, string_list& fields) {
  url(set);
  method(set);
  if (may_be_refused_early() && curl_library::get().loses_early_answers()) {
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  }
  tls(set);
  if (!make_fields(fields)) return set.fail_with(CURLE_OUT_OF_MEMORY);
  set(CURLOPT_HTTPHEADER, fields.get());
  set(CURLOPT_USERAGENT, options_.user_agent_.c_str());
  if (options_.proxy_) set(CURLOPT_PROXY, options_.proxy_->c_str());
  credentials(set);
  set(CURLOPT_ACCEPT_ENCODING, "");  // all that libcurl can decompress
  if (options_.cookies_) set(CURLOPT_COOKIEFILE, "");  // none is read: it turns them on
  set(CURLOPT_FOLLOWLOCATION, options_.follow_redirects_ ? 1L : 0L);
  set(CURLOPT_MAXREDIRS, static_cast<long>(options_.max_redirects_));

  // Zero would be libcurl's own default. The other limits are watched by the exchange, because
  // libcurl has none for the first byte, and does not look at the total while a request waits for a
  // connection.
  const auto connect = std::chrono::ceil<std::chrono::milliseconds>(limits().connect).count();
  constexpr long longest = std::numeric_limits<int>::max();
  set(CURLOPT_CONNECTTIMEOUT_MS,
      connect <= 0 ? longest : static_cast<long>(std::min<long long>(connect, longest)));
}

inline void setup::url(option_setter& set) {
  // A zero byte would end it.
  if (request_.url_.find('\0') != request_.url_.npos) return set.fail_with(CURLE_URL_MALFORMAT);
  const std::string& base = options_.base_url_;
  const auto end = request_.url_.find_first_of(":/?#");  // of its scheme, if it has one
  const bool has_scheme = end != request_.url_.npos && request_.url_.compare(end, 3, "://") == 0;
  if (!has_scheme && !base.empty()) {
    set.fail_with(resolve(base, request_.url_));
  } else if (end == 0 && request_.url_.front() == '/') {
    set.fail_with(CURLE_URL_MALFORMAT);  // libcurl would take "/users" for the host "users"
  }
  set(CURLOPT_URL, request_.url_.c_str());
  set(CURLOPT_DEFAULT_PROTOCOL, "http");
#if CURL_AT_LEAST_VERSION(7, 85, 0)
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
  set(CURLOPT_REDIR_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
}

/// Before its body was sent. What fits into the window that a stream has at first (RFC 9113, 6.9.2)
/// is sent at once.
inline bool setup::may_be_refused_early() const noexcept {
  return request_.source_ || request_.body_.size() > 65'535;
}

/// libcurl goes on with GET after a redirect of a POST, as browsers do, and does the same for every
/// request with a body unless told otherwise; but a method that was set by name it keeps.
inline void setup::method(option_setter& set) noexcept {
  const std::string& method = request_.method_;
  if (method == "HEAD") return set(CURLOPT_NOBODY, 1L);
  if (request_.source_) {
    const auto size = request_.source_->size();
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, size ? static_cast<curl_off_t>(*size) : curl_off_t{-1});
    if (method == "POST") return;
    set(CURLOPT_POSTREDIR, static_cast<long>(CURL_REDIR_POST_301 | CURL_REDIR_POST_302));
  } else if (request_.has_body_ || method == "POST" || method == "PUT" || method == "PATCH") {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body_.size()));
    set(CURLOPT_POSTFIELDS, request_.body_.data());
    if (method == "POST") return;
    set(CURLOPT_POSTREDIR, static_cast<long>(CURL_REDIR_POST_301 | CURL_REDIR_POST_302));
  } else if (method == "GET") {
    return;
  }
  set(CURLOPT_CUSTOMREQUEST, method.c_str());
}

inline void setup::tls(option_setter& set) noexcept {
  if (!options_.verify_peer_) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  } else if (!options_.ca_file_.empty()) {
    set(CURLOPT_CAINFO, options_.ca_file_.c_str());
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  } else if (curl_library::get().has_certificate_file()) {
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
}

inline void setup::credentials(option_setter& set) noexcept {
  const auto& known = request_.credentials_ ? request_.credentials_ : options_.credentials_;
  if (!known || request_.headers_.contains("authorization")) return;
  set(CURLOPT_USERNAME, known->user.c_str());
  set(CURLOPT_PASSWORD, known->password.c_str());
}

/// Those around a value do not belong to it (RFC 9110, 5.5).
[[nodiscard]] inline std::string_view without_blanks(std::string_view value) noexcept {
  constexpr std::string_view blanks = " \t";
  value.remove_prefix(std::min(value.find_first_not_of(blanks), value.size()));
  return value.substr(0, value.find_last_not_of(blanks) + 1);
}

/// False when there is no memory.
inline bool setup::make_fields(string_list& fields) const {
  const auto add = [&fields](const header_map::value_type& field) {
    // "Name:" would remove a field of libcurl's own, also with blanks behind it; "Name;" sends it
    // empty.
    const std::string_view value = without_blanks(field.second);
    return append(fields,
                  value.empty() ? field.first + ";" : field.first + ": " + std::string(value));
  };
  const header_map& own = request_.headers_;
  const header_map& usual = options_.headers_;
  for (const auto& field : own) {
    if (!add(field)) return false;
  }
  for (const auto& field : usual) {
    const bool has_own = own.contains(field.first) ||
                         (request_.credentials_ && same_name(field.first, "authorization"));
    if (!has_own && !add(field)) return false;
  }
  // What libcurl would add by itself: a guess at the type, and a second's wait for servers that do
  // not know "100 Continue".
  for (const char* const name : {"Content-Type", "Expect"}) {
    const bool given = own.contains(name) || usual.contains(name);
    if (!given && !append(fields, std::string(name) + ":")) return false;
  }
  return true;
}

}  // namespace rondo::http::detail
