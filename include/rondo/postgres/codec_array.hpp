// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Arrays of the server as std::vector, of several dimensions as vectors of vectors.
//
//     const std::vector ids{1, 2, 3};
//     co_await c.query("select * from users where id = any($1)", ids);
//     auto tags = rows[0].get<std::vector<std::string>>("tags");
//
// Elements that may be null are std::optional. The text form is {1,2,NULL} and {"a b","say \"hi\""}
// (PostgreSQL's documentation, 8.15.6).

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <rondo/postgres/codec.hpp>

namespace rondo::postgres {

namespace detail {

template <typename T>
struct array_element {
  using type = T;
  static constexpr bool may_be_null = false;
  static constexpr bool is_array = false;
};
template <typename T>
struct array_element<std::optional<T>> : array_element<T> {
  static constexpr bool may_be_null = true;
};
template <typename T>
struct array_element<std::vector<T>> {
  using type = typename array_element<T>::type;
  static constexpr bool may_be_null = false;
  static constexpr bool is_array = true;
};
template <>
struct array_element<std::vector<std::byte>> {
  using type = std::vector<std::byte>;
  static constexpr bool may_be_null = false;
  static constexpr bool is_array = false;
};

/// Quoted in any case: so nobody takes it for NULL, or for two elements.
inline void append_quoted(std::string_view text, std::string& to) {
  to += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') to += '\\';
    to += c;
  }
  to += '"';
}

/// Goes through the text of an array.
class array_reader {
 public:
  explicit array_reader(std::string_view text) : text_(text) {
    if (text.starts_with('[')) {  // bounds that do not begin with 1: [0:2]={1,2,3}
      const auto equals = text.find('=');
      if (equals != text.npos) at_ = equals + 1;
    }
  }

  template <typename T>
  std::vector<T> read_array() {
    expect('{');
    std::vector<T> elements;
    if (peek() == '}') {
      ++at_;
      return elements;
    }
    for (;;) {
      elements.push_back(read_element<T>());
      if (peek() != ',') break;
      ++at_;
    }
    expect('}');
    return elements;
  }
  void expect_end() const {
    if (at_ != text_.size()) fail();
  }

 private:
  using element = std::optional<std::string>;

  template <typename T>
  T read_element() {
    if constexpr (array_element<T>::is_array) {
      return read_array<typename T::value_type>();
    } else {
      if (peek() == '{') throw conversion_error("an array of more dimensions than was asked for");
      const element text = read_text();
      using value = typename array_element<T>::type;
      if constexpr (array_element<T>::may_be_null) {
        if (!text) return std::nullopt;
      } else {
        if (!text) throw conversion_error("null in an array; ask for elements of std::optional");
      }
      return codec<value>::read(*text);
    }
  }

  element read_text() {
    std::string text;
    if (peek() == '"') {
      for (++at_; peek() != '"'; ++at_) {
        if (peek() == '\\') ++at_;
        text += peek();
      }
      ++at_;
      return text;
    }
    while (peek() != ',' && peek() != '}') text += text_[at_++];
    if (text == "NULL") return std::nullopt;
    return text;
  }

  [[nodiscard]] char peek() const {
    if (at_ >= text_.size()) fail();
    return text_[at_];
  }
  void expect(char c) {
    if (peek() != c) fail();
    ++at_;
  }
  [[noreturn]] void fail() const { does_not_fit(text_, "an array"); }

  std::string_view text_;
  std::size_t at_ = 0;
};

template <typename T>
void append_element(const T& element, std::string& to) {
  if constexpr (array_element<T>::is_array) {
    codec<T>::write(element, to);
  } else {
    std::string text;
    codec<T>::write(element, text);
    append_quoted(text, to);
  }
}
template <typename T>
void append_element(const std::optional<T>& element, std::string& to) {
  if (element) {
    append_element(*element, to);
  } else {
    to += "NULL";
  }
}

}  // namespace detail

template <typename T>
struct codec<std::vector<T>> {
  static constexpr unsigned oid = codec<typename detail::array_element<T>::type>::array_oid;

  static void write(const std::vector<T>& array, std::string& to) {
    to += '{';
    bool first = true;
    for (const T& element : array) {  // of vector<bool>, a bool
      if (!std::exchange(first, false)) to += ',';
      detail::append_element(element, to);
    }
    to += '}';
  }
  /// No views: an element is what is left of its text when the quotes have gone, which nobody keeps.
  static std::vector<T> read(std::string_view text)
    requires(!std::is_same_v<typename detail::array_element<T>::type, std::string_view>)
  {
    detail::array_reader reader(text);
    auto array = reader.template read_array<T>();
    reader.expect_end();
    return array;
  }
};

}  // namespace rondo::postgres
