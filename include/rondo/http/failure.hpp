// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// From what libcurl says about a failed request to an http::error: a kind, and a cause that a
// person can act upon.

#include <cctype>
#include <cerrno>
#include <chrono>
#include <string>
#include <string_view>
#include <system_error>

#include <rondo/http/curl.hpp>
#include <rondo/http/error.hpp>

namespace rondo::http::detail {

struct failure {
  CURLcode code = CURLE_OK;
  int error = 0;                           // errno, when there is one
  long certificate = 0;                    // X509_V_ERR_..., or 0 or 1: OpenSSL was not asked yet
  long proxy_status = 0;                   // what a proxy said to CONNECT; 0: nothing
  bool asked = false;                      // whether a request went out
  bool before_head = false;                // whether one did, and no whole head has come
  bool lacks_memory = false;               // whether it is rondo that has none left
  timeout_kind limit = timeout_kind::none; // which was exceeded
  std::chrono::nanoseconds duration{};     // of that limit
  char text[CURL_ERROR_SIZE] = {};         // what libcurl says in detail

  /// What libcurl knows, besides its text.
  void ask(CURL* easy, CURLcode result, int system) noexcept {
    code = result;
    error = system != 0 ? system : static_cast<int>(info<long>(easy, CURLINFO_OS_ERRNO));
    certificate = info<long>(easy, CURLINFO_SSL_VERIFYRESULT);
    proxy_status = info<long>(easy, CURLINFO_HTTP_CONNECTCODE);
    asked = info<long>(easy, CURLINFO_REQUEST_SIZE) > 0;
  }

  struct explanation {
    error_kind kind;
    std::string cause;
  };
  [[nodiscard]] explanation explain() const;

 private:
  [[nodiscard]] bool says(std::string_view words) const noexcept {
    return std::string_view(text).find(words) != std::string_view::npos;
  }
  [[nodiscard]] std::string detail() const;
  [[nodiscard]] explanation explain_limit() const;
  [[nodiscard]] explanation explain_loss() const;
  [[nodiscard]] static explanation line_too_long();
  [[nodiscard]] explanation explain_tls() const;
};

// Implementation

/// Causes continue a sentence.
inline std::string begin_small(std::string text) {
  const bool word = text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0;
  if (word) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  while (!text.empty() && (text.back() == '.' || text.back() == '\n')) text.pop_back();
  return text;
}

/// "5 s", "1.5 s", "200 ms"
inline std::string in_words(std::chrono::nanoseconds duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  if (ms < 1000) return std::to_string(ms) + " ms";
  std::string text = std::to_string(ms / 1000);
  if (ms % 1000 != 0) {
    text += "." + std::to_string(1000 + ms % 1000).substr(1);
    while (text.back() == '0') text.pop_back();
  }
  return text + " s";
}

/// libcurl quotes the URL of a proxy that it does not understand, with the password.
inline std::string failure::detail() const {
  std::string all = begin_small(text[0] != '\0' ? text : curl_easy_strerror(code));
  const auto begin = all.find('\'');
  const auto end = all.rfind('\'');
  if (begin != end) {
    all.replace(begin + 1, end - begin - 1, without_password(all.substr(begin + 1, end - begin - 1)));
  }
  return all;
}

inline failure::explanation failure::explain() const {
  if (limit != timeout_kind::none) return explain_limit();
  const std::string system =
      error != 0 ? begin_small(std::generic_category().message(error)) : detail();
  constexpr int too_large = 100;  // CURLE_TOO_LARGE, since libcurl 8.6
  if (static_cast<int>(code) == too_large && before_head) return line_too_long();
  if (says("nsupported proxy")) return {error_kind::invalid_url, detail()};
  switch (code) {
    case CURLE_OK:
      return {error == ENOMEM ? error_kind::out_of_memory : error_kind::other,
              "waiting for its sockets failed: " + system};
    case CURLE_URL_MALFORMAT:
      if (asked) return {error_kind::protocol, detail()};  // where a redirect leads to
      return {error_kind::invalid_url, "not a valid URL: " + detail()};
    case CURLE_UNSUPPORTED_PROTOCOL:
      if (asked) return {error_kind::protocol, detail()};
      return {error_kind::invalid_url, "only http and https are supported: " + detail()};
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {error_kind::name_not_resolved, detail()};
    case CURLE_COULDNT_CONNECT:
      return {error == ECONNREFUSED ? error_kind::connection_refused : error_kind::connect_failed,
              system};
    case CURLE_PROXY:
    case CURLE_INTERFACE_FAILED:
      return {error_kind::connect_failed, detail()};
    case CURLE_GOT_NOTHING:
      return {error_kind::connection_lost, "the server closed the connection without an answer"};
    case CURLE_PARTIAL_FILE:
      if (before_head) {
        return {error_kind::connection_lost, "the connection ended in the middle of the head"};
      }
      return {error_kind::connection_lost,
              "the connection ended in the middle of the body: " + detail()};
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return explain_loss();
    case CURLE_SEND_FAIL_REWIND:
      return {error_kind::other, "the body is a stream, which cannot be sent a second time"};
    case CURLE_TOO_MANY_REDIRECTS:
      return {error_kind::too_many_redirects, detail()};
    case CURLE_HTTP2:
      if (before_head && text[0] == '\0') {  // GOAWAY; what is wrong with a frame would be said
        return {error_kind::connection_lost, "the server gave up the connection before it answered"};
      }
      return {error_kind::protocol, detail()};
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2_STREAM:
    case CURLE_BAD_CONTENT_ENCODING:
      return {error_kind::protocol, detail()};
    case CURLE_WRITE_ERROR:
      return {error_kind::protocol, "the body is not encoded as its head says"};
    case CURLE_OUT_OF_MEMORY:
      if (lacks_memory || !asked) return {error_kind::out_of_memory, "out of memory"};
      if (before_head) return line_too_long();
      return {error_kind::out_of_memory,
              "libcurl has no room for the body: 16 KiB of it may decompress to 64 MiB in a stream, or "
              "there is no memory"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_USE_SSL_FAILED:
      return explain_tls();
    default:
      return {error_kind::other, detail()};
  }
}

/// libcurl says that it could not receive, or send, also of what it has received.
inline failure::explanation failure::explain_loss() const {
  if (proxy_status != 0 && proxy_status / 100 != 2) {
    return {error_kind::connect_failed, "the proxy does not connect: " + std::to_string(proxy_status)};
  }
  if (says("chunk") || says("oo large response headers")) return {error_kind::protocol, detail()};
  if (says(" alert ")) return {error_kind::tls, detail()};  // about our certificate, in TLS 1.3
  return {error_kind::connection_lost, "the connection was lost: " + detail()};
}

/// What libcurl 7.88 calls being out of memory. Its lines may be of CURL_MAX_HTTP_HEADER bytes.
inline failure::explanation failure::line_too_long() {
  return {error_kind::protocol,
          "libcurl has no room for the head: one of its lines is longer than 100 KiB, or there is no "
          "memory"};
}

inline failure::explanation failure::explain_limit() const {
  const std::string within = " within " + in_words(duration);
  switch (limit) {
    case timeout_kind::connect:
      return {error_kind::timeout, "no connection" + within};
    case timeout_kind::first_byte:
      return {error_kind::timeout, "no answer" + within};
    default:
      return {error_kind::timeout, "not complete" + within};
  }
}

inline failure::explanation failure::explain_tls() const {
  if (code != CURLE_PEER_FAILED_VERIFICATION) return {error_kind::tls, detail()};
  if (certificate <= 1) {  // libcurl looks at the name before that
    return {error_kind::tls, "the server's certificate is not for this host: " + detail()};
  }
  std::string reason = text;
  if (const auto colon = reason.find(": "); colon != reason.npos) reason.erase(0, colon + 2);
  // The numbers are X509_V_ERR_*: no issuer found (2, 20, 21), self-signed (18, 19).
  const bool unknown = certificate == 2 || (certificate >= 18 && certificate <= 21);
  if (!unknown) return {error_kind::tls, "the server's certificate is not valid: " + reason};
  return {error_kind::tls, "the server's certificate is not trusted: " + reason +
                               " (give the CA with session_options().ca_file(path))"};
}

}  // namespace rondo::http::detail
