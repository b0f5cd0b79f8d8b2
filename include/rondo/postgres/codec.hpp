// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// How C++ types are written as parameters and read from columns: as text, which every type of the
// server has.
//
//     bool, integers                     boolean, smallint, integer, bigint (unsigned 64: numeric)
//     float, double                      real, double precision; any number is read
//     std::string, std::string_view      any type: as a parameter, whatever the statement expects
//     std::vector<std::byte>, std::span  bytea
//     std::chrono                        see codec_time.hpp
//     std::vector of these               their arrays, see codec_array.hpp
//     postgres::json, nlohmann::json     jsonb; json and jsonb are read
//     std::optional of these             the same or null; nullptr, std::nullopt and a char* that
//                                        points to nothing are null
//
// For a type of your own, specialise postgres::codec in the same way.

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <rondo/postgres/error.hpp>

namespace rondo::postgres {

/// A specialisation has
///   static constexpr unsigned oid, array_oid   the server's types (catalog pg_type); 0: it infers
///   static void write(const T&, std::string&)  appends the value as text
///   static T read(std::string_view)            throws detail::does_not_fit or postgres::error
/// of which a type that is only read, or only written, lacks what it does not need.
template <typename T>
struct codec;

/// A JSON document as it is written. To work with it give `get` a class such as nlohmann::json.
struct json {
  json() noexcept {}
  explicit json(std::string document) noexcept : text(std::move(document)) {}

  std::string text;
};

template <typename T>
concept writable = requires(const T& value, std::string& to) {
  codec<T>::write(value, to);
};
template <typename T>
concept readable_column = requires(std::string_view text) {
  { codec<T>::read(text) } -> std::same_as<T>;
};

// Implementation

namespace detail {

[[noreturn]] inline void does_not_fit(std::string_view text, const char* type) {
  throw conversion_error("\"" + beginning_of(std::string(text), 40) + "\" is not " + type);
}

template <typename T>
void append_number(T value, std::string& to) {
  char digits[64];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  to.append(digits, end);
}

template <typename T>
T read_number(std::string_view text, const char* type) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) does_not_fit(text, type);
  return value;
}

/// Characters are not numbers here, and bool is no integer.
template <typename T>
concept integer = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
                  !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                  !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

/// Bytes that the type needs for all of T's values.
template <integer T>
inline constexpr std::size_t width = sizeof(T) * (std::is_unsigned_v<T> ? 2 : 1);

/// What a JSON class looks like, so that no particular one needs to be included here.
template <typename T>
concept json_class = requires(const T& value, std::string_view text) {
  { value.dump() } -> std::convertible_to<std::string>;
  { T::parse(text) } -> std::convertible_to<T>;
};

inline int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace detail

template <>
struct codec<bool> {
  static constexpr unsigned oid = 16;
  static constexpr unsigned array_oid = 1000;
  static void write(bool value, std::string& to) { to += value ? 't' : 'f'; }
  static bool read(std::string_view text) {
    if (text == "t") return true;
    if (text != "f") detail::does_not_fit(text, "a boolean");
    return false;
  }
};

template <detail::integer T>
struct codec<T> {
  static constexpr unsigned oid = detail::width<T> <= 2   ? 21
                                  : detail::width<T> <= 4 ? 23
                                  : detail::width<T> <= 8 ? 20
                                                          : 1700;
  static constexpr unsigned array_oid = detail::width<T> <= 2   ? 1005
                                        : detail::width<T> <= 4 ? 1007
                                        : detail::width<T> <= 8 ? 1016
                                                                : 1231;
  static void write(T value, std::string& to) { detail::append_number(value, to); }
  static T read(std::string_view text) {
    return detail::read_number<T>(text, "an integer of that size");
  }
};

template <std::floating_point T>
struct codec<T> {
  static constexpr unsigned oid = sizeof(T) <= 4 ? 700 : 701;
  static constexpr unsigned array_oid = sizeof(T) <= 4 ? 1021 : 1022;
  static void write(T value, std::string& to) { detail::append_number(value, to); }
  static T read(std::string_view text) { return detail::read_number<T>(text, "a number"); }
};

template <>
struct codec<std::string_view> {
  static constexpr unsigned oid = 0;
  static constexpr unsigned array_oid = 1009;
  static void write(std::string_view value, std::string& to) { to += value; }
  /// Looks into the rows, and lives as long as they do.
  static std::string_view read(std::string_view text) { return text; }
};
template <>
struct codec<std::string> : codec<std::string_view> {
  static std::string read(std::string_view text) { return std::string(text); }
};

template <>
struct codec<std::span<const std::byte>> {
  static constexpr unsigned oid = 17;
  static constexpr unsigned array_oid = 1001;
  static void write(std::span<const std::byte> value, std::string& to) {
    constexpr const char* digits = "0123456789abcdef";
    to += "\\x";
    for (const std::byte b : value) {
      to += digits[std::to_integer<unsigned>(b) >> 4];
      to += digits[std::to_integer<unsigned>(b) & 15];
    }
  }
};
template <>
struct codec<std::vector<std::byte>> : codec<std::span<const std::byte>> {
  static std::vector<std::byte> read(std::string_view text);
};

template <>
struct codec<json> {
  static constexpr unsigned oid = 3802;
  static constexpr unsigned array_oid = 3807;
  static void write(const json& value, std::string& to) { to += value.text; }
  static json read(std::string_view text) { return json(std::string(text)); }
};
template <detail::json_class T>
struct codec<T> {
  static constexpr unsigned oid = 3802;
  static constexpr unsigned array_oid = 3807;
  static void write(const T& value, std::string& to) { to += value.dump(); }
  static T read(std::string_view text) {
    try {
      return T::parse(text);
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception&) {
      detail::does_not_fit(text, "JSON");
    }
  }
};

/// The server's output is hex; bytea_output = 'escape' makes it characters and \ooo.
inline std::vector<std::byte> codec<std::vector<std::byte>>::read(std::string_view text) {
  std::vector<std::byte> bytes;
  if (text.starts_with("\\x")) {
    const std::string_view digits = text.substr(2);
    if (digits.size() % 2 != 0) detail::does_not_fit(text, "bytea");
    bytes.reserve(digits.size() / 2);
    for (std::size_t i = 0; i < digits.size(); i += 2) {
      const int high = detail::hex_digit(digits[i]);
      const int low = detail::hex_digit(digits[i + 1]);
      if (high < 0 || low < 0) detail::does_not_fit(text, "bytea");
      bytes.push_back(static_cast<std::byte>(high * 16 + low));
    }
    return bytes;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      bytes.push_back(static_cast<std::byte>(text[i]));
    } else if (i + 1 < text.size() && text[i + 1] == '\\') {
      bytes.push_back(std::byte{'\\'});
      i += 1;
    } else {
      unsigned value = 0;
      const std::string_view digits = text.substr(i + 1, 3);
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), value, 8);
      if (error != std::errc() || end != digits.data() + 3 || value > 255) {
        detail::does_not_fit(text, "bytea");
      }
      bytes.push_back(static_cast<std::byte>(value));
      i += 3;
    }
  }
  return bytes;
}

}  // namespace rondo::postgres
