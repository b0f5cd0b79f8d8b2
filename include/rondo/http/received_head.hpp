// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What is kept of an answer besides its body: its head, and what libcurl knows of the transfer when
// it has ended.

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <new>
#include <string>
#include <string_view>

#include <rondo/http/curl.hpp>
#include <rondo/http/head_lines.hpp>
#include <rondo/http/response.hpp>

namespace rondo::http::detail {

/// Whether an answer with a Location is followed: 300 leaves a choice, 304 is no redirect, 305
/// is deprecated and 306 unused (RFC 9110, 15.4).
[[nodiscard]] constexpr bool is_redirect(int status) noexcept {
  return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

class received_head {
 public:
  explicit received_head(unsigned attempt) { answer_.attempts = attempt; }

  [[nodiscard]] response& answer() noexcept { return answer_; }
  [[nodiscard]] const response& answer() const noexcept { return answer_; }
  /// Of the answer that is not redirected any more.
  [[nodiscard]] bool is_whole() const noexcept { return whole_; }

  /// Throws: std::bad_alloc.
  head_lines::line take(std::string_view line) { return head_lines::take(answer_, line); }
  /// All lines of a head were taken. False: it was that of a redirect that is followed.
  /// Throws: std::bad_alloc.
  [[nodiscard]] bool complete(CURL* easy, bool follows);

  /// So many bytes of a body were taken, of whatever answer.
  void body_taken(std::size_t size) noexcept { body_taken_ += static_cast<curl_off_t>(size); }
  /// Whether it is known that all of the body was: only of an answer that says how long it is, and is
  /// not compressed.
  [[nodiscard]] bool has_whole_body(CURL* easy) const noexcept {
    return whole_ && info<curl_off_t>(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T) == body_taken_;
  }
  /// For the body, as the head announces it, so that it need not be moved as it grows. Without
  /// memory for it nothing is said: there may be enough for what comes.
  void make_room(std::string& body) const noexcept;

  /// The transfer has ended. Throws: std::bad_alloc.
  void collect(CURL* easy);

 private:
  void note_origin(CURL* easy) {
    answer_.url = info<char*>(easy, CURLINFO_EFFECTIVE_URL);
    answer_.method_ = info<char*>(easy, CURLINFO_EFFECTIVE_METHOD);
  }

  response answer_;
  curl_off_t body_taken_ = 0;
  bool whole_ = false;
};

// Implementation

inline bool received_head::complete(CURL* easy, bool follows) {
  note_origin(easy);
  whole_ = !follows || !is_redirect(answer_.status) || answer_.headers["location"].empty();
  if (!whole_) answer_.history.push_back({answer_.status, answer_.url});
  return whole_;
}

inline void received_head::make_room(std::string& body) const noexcept {
  constexpr std::size_t most = std::size_t{64} << 20;  // so far a server is believed
  if (answer_.method_ == "HEAD" || answer_.status == 304) return;
  const std::string_view text = answer_.headers["content-length"];
  std::size_t size = 0;
  std::from_chars(text.data(), text.data() + text.size(), size);
  try {
    body.reserve(std::min(size, most));
  } catch (const std::bad_alloc&) {
  }
}

inline void received_head::collect(CURL* easy) {
  const auto time = [easy](CURLINFO what) {
    return std::chrono::microseconds(info<curl_off_t>(easy, what));
  };
  answer_.status = static_cast<int>(info<long>(easy, CURLINFO_RESPONSE_CODE));
  answer_.timings.name_lookup = time(CURLINFO_NAMELOOKUP_TIME_T);
  answer_.timings.connect = time(CURLINFO_CONNECT_TIME_T);
  answer_.timings.tls = time(CURLINFO_APPCONNECT_TIME_T);
  answer_.timings.first_byte = time(CURLINFO_STARTTRANSFER_TIME_T);
  answer_.timings.total = time(CURLINFO_TOTAL_TIME_T);
  note_origin(easy);
}

}  // namespace rondo::http::detail
