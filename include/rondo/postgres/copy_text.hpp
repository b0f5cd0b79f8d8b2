// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// A row in the format text of COPY: values with tabs between them, \\N for null, and backslashes
// before what would be taken for something else (PostgreSQL's documentation, COPY, file formats).

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include <rondo/postgres/codec.hpp>
#include <rondo/postgres/parameters.hpp>

namespace rondo::postgres::detail {

inline void append_escaped(std::string_view text, std::string& to) {
  for (const char c : text) {
    switch (c) {
      case '\\':
        to += "\\\\";
        break;
      case '\t':
        to += "\\t";
        break;
      case '\n':
        to += "\\n";
        break;
      case '\r':
        to += "\\r";
        break;
      default:
        to += c;
    }
  }
}

template <typename T>
void append_field(const T& value, std::string& to) {
  using type = typename written_as<T>::type;
  static_assert(writable<type>,
                "rondo: no postgres::codec writes this type; convert the value, or specialise "
                "postgres::codec for it");
  std::string text;
  codec<type>::write(value, text);
  append_escaped(text, to);
}
inline void append_field(std::nullptr_t, std::string& to) { to += "\\N"; }
inline void append_field(std::nullopt_t, std::string& to) { to += "\\N"; }
template <typename T>
void append_field(const std::optional<T>& value, std::string& to) {
  if (value) {
    append_field(*value, to);
  } else {
    append_field(nullptr, to);
  }
}

template <typename... Args>
std::string text_row(const Args&... values) {
  std::string line;
  bool first = true;
  const auto separate = [&] {
    if (!first) line += '\t';
    first = false;
  };
  (..., (separate(), append_field(values, line)));
  line += '\n';
  return line;
}

}  // namespace rondo::postgres::detail
