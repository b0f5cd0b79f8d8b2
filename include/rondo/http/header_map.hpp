// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The header fields of an answer, in the order in which they came. Names are compared without
// regard to case, and may come several times (RFC 9110, 5.1 and 5.3).
//
//     if (answer.headers["content-type"].starts_with("application/json")) ...
//     for (const auto& [name, value] : answer.headers) ...

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <rondo/config.hpp>

namespace rondo::http {

namespace detail {
[[nodiscard]] constexpr char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
[[nodiscard]] constexpr bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}
}  // namespace detail

class header_map {
 public:
  using value_type = std::pair<std::string, std::string>;
  using const_iterator = std::vector<value_type>::const_iterator;

  /// The first value of that name; empty when there is none.
  [[nodiscard]] std::string_view operator[](std::string_view name) const RONDO_LIFETIMEBOUND {
    const auto found = find(name);
    return found == end() ? std::string_view() : std::string_view(found->second);
  }
  [[nodiscard]] bool contains(std::string_view name) const { return find(name) != end(); }
  [[nodiscard]] const_iterator find(std::string_view name) const RONDO_LIFETIMEBOUND {
    return std::find_if(begin(), end(), [name](const value_type& field) {
      return detail::same_name(field.first, name);
    });
  }
  /// All values of that name, in order: Set-Cookie comes once a cookie.
  [[nodiscard]] std::vector<std::string_view> get_all(std::string_view name) const
      RONDO_LIFETIMEBOUND {
    std::vector<std::string_view> values;
    for (const auto& [other, value] : fields_) {
      if (detail::same_name(other, name)) values.emplace_back(value);
    }
    return values;
  }

  [[nodiscard]] const_iterator begin() const noexcept RONDO_LIFETIMEBOUND {
    return fields_.begin();
  }
  [[nodiscard]] const_iterator end() const noexcept RONDO_LIFETIMEBOUND { return fields_.end(); }
  [[nodiscard]] std::size_t size() const noexcept { return fields_.size(); }
  [[nodiscard]] bool empty() const noexcept { return fields_.empty(); }

  void add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }
  /// More of the value that was added last.
  void add_more(std::string_view value) {
    if (!fields_.empty()) fields_.back().second.append(" ").append(value);
  }
  void clear() noexcept { fields_.clear(); }

 private:
  std::vector<value_type> fields_;
};

}  // namespace rondo::http
