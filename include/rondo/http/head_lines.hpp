// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The lines of the head of an answer, as libcurl brings them: one at a time, of one head after the
// other when there are redirects or a "100 Continue".

#include <algorithm>
#include <charconv>
#include <string_view>

#include <rondo/http/response.hpp>

namespace rondo::http::detail {

class head_lines {
 public:
  enum class line {
    begins,  // a new head: what was known of an older one is forgotten
    field,
    ends,
  };

  /// Adds what a line says. Throws: std::bad_alloc.
  static line take(response& r, std::string_view text) {
    const bool is_end = text.find_first_not_of("\r\n") == text.npos;  // blanks go on with a line
    text.remove_suffix(text.size() - (text.find_last_not_of("\r\n\t ") + 1));
    if (text.starts_with("HTTP/")) {
      r.headers.clear();
      take_status(r, text);
      return line::begins;
    }
    if (is_end) return line::ends;
    if (text.empty()) return line::field;
    if (text.front() == ' ' || text.front() == '\t') {  // folded (RFC 9112, 5.2)
      r.headers.add_more(text.substr(text.find_first_not_of(" \t")));
      return line::field;
    }
    if (const auto colon = text.find(':'); colon != text.npos) {
      std::string_view value = text.substr(colon + 1);
      value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
      r.headers.add(text.substr(0, colon), value);
    }
    return line::field;
  }

 private:
  static void take_status(response& r, std::string_view text) {
    const auto code = std::min(text.find(' '), text.size());
    const auto reason = text.find(' ', std::min(code + 1, text.size()));
    r.reason_ = reason == text.npos ? std::string_view() : text.substr(reason + 1);
    r.status = 0;
    const char* const digits = text.data() + std::min(code + 1, text.size());
    std::from_chars(digits, text.data() + text.size(), r.status);
  }
};

}  // namespace rondo::http::detail
