// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What a statement gave: rows, and how many it changed.
//
//     const auto users = co_await c.query("select id, name, mail from users");
//     for (const auto user : users) {
//       auto id = user.get<int>("id");
//       auto mail = user.get<std::optional<std::string>>("mail");    // may be null
//     }
//     auto [id, name] = users[0].as<int, std::string>();             // the first columns
//
// They are complete and belong to whoever has them: the connection may be used again, or be gone.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/postgres/codec.hpp>
#include <rondo/postgres/codec_array.hpp>
#include <rondo/postgres/codec_time.hpp>
#include <rondo/postgres/libpq.hpp>

namespace rondo::postgres {

/// One of the rows. A view: it lives as long as they do.
class row {
 public:
  /// The value of a column, by its name or its place from 0. T: see codec.hpp; a string_view lives
  /// as long as the rows.
  /// Throws: error (conversion) for null, unless T is an optional, and for what is no T;
  /// std::out_of_range when there is no such column.
  template <typename T>
  [[nodiscard]] T get(std::size_t column) const;
  template <typename T>
  [[nodiscard]] T get(std::string_view column) const {
    return get<T>(place_of(column));
  }

  /// The first columns, as a tuple.
  template <typename... T>
  [[nodiscard]] std::tuple<T...> as() const {
    return as_tuple<T...>(std::index_sequence_for<T...>());
  }

  [[nodiscard]] bool is_null(std::size_t column) const;
  [[nodiscard]] bool is_null(std::string_view column) const { return is_null(place_of(column)); }

  /// How many columns it has.
  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(PQnfields(result_));
  }

 private:
  friend class rows;
  row(const PGresult* result, int place) noexcept : result_(result), place_(place) {}

  [[nodiscard]] std::size_t place_of(std::string_view column) const;
  [[nodiscard]] int checked(std::size_t column) const;
  template <typename... T, std::size_t... I>
  std::tuple<T...> as_tuple(std::index_sequence<I...>) const {
    return std::tuple<T...>(get<T>(I)...);
  }

  const PGresult* result_;
  int place_;
};

class rows {
 public:
  class iterator;

  rows() noexcept {}

  /// How many there are.
  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(PQntuples(result_.get()));
  }
  [[nodiscard]] bool empty() const noexcept { return size() == 0; }
  /// Throws: std::out_of_range.
  [[nodiscard]] row operator[](std::size_t place) const RONDO_LIFETIMEBOUND;
  [[nodiscard]] iterator begin() const noexcept RONDO_LIFETIMEBOUND;
  [[nodiscard]] iterator end() const noexcept RONDO_LIFETIMEBOUND;

  [[nodiscard]] std::size_t columns() const noexcept {
    return static_cast<std::size_t>(PQnfields(result_.get()));
  }
  /// Throws: std::out_of_range.
  [[nodiscard]] std::string_view column_name(std::size_t column) const RONDO_LIFETIMEBOUND;

  /// How many rows the statement inserted, updated, deleted, copied or selected.
  [[nodiscard]] std::uint64_t affected() const noexcept;
  /// What it did, in the server's words: "INSERT 0 1", "CREATE TABLE".
  [[nodiscard]] std::string_view command() const noexcept RONDO_LIFETIMEBOUND;

  /// libpq's own, for what is not here.
  [[nodiscard]] const PGresult* native_handle() const noexcept { return result_.get(); }
  /// Takes over what libpq gave somebody else. Null: nothing.
  [[nodiscard]] static rows adopt(PGresult* result) noexcept { return rows(result); }

 private:
  explicit rows(PGresult* result) noexcept : result_(result) {}

  detail::result_handle result_;
};

class rows::iterator {
 public:
  using value_type = row;
  using difference_type = std::ptrdiff_t;

  iterator() noexcept = default;
  [[nodiscard]] row operator*() const { return row(result_, place_); }
  iterator& operator++() noexcept {
    ++place_;
    return *this;
  }
  iterator operator++(int) noexcept { return iterator(result_, place_++); }
  [[nodiscard]] bool operator==(const iterator& other) const noexcept = default;

 private:
  friend rows;
  iterator(const PGresult* result, int place) noexcept : result_(result), place_(place) {}

  const PGresult* result_ = nullptr;
  int place_ = 0;
};
static_assert(std::forward_iterator<rows::iterator>);

// Implementation

namespace detail {

template <typename T>
struct not_null {
  using type = T;
  static constexpr bool may_be_null = false;
};
template <typename T>
struct not_null<std::optional<T>> {
  using type = T;
  static constexpr bool may_be_null = true;
};

[[noreturn]] inline void no_such_column(const std::string& which) {
  throw std::out_of_range("rondo: the rows have no column " + which);
}
[[noreturn]] inline void wrong_value(const PGresult* result, int column, const std::string& what) {
  throw conversion_error(std::string("column \"") + PQfname(result, column) + "\": " + what);
}

}  // namespace detail

inline std::size_t row::place_of(std::string_view column) const {
  const int count = PQnfields(result_);
  for (int i = 0; i < count; ++i) {
    if (column == PQfname(result_, i)) return static_cast<std::size_t>(i);
  }
  detail::no_such_column("\"" + std::string(column) + "\"");
}

inline int row::checked(std::size_t column) const {
  if (column >= size()) detail::no_such_column(std::to_string(column));
  return static_cast<int>(column);
}

inline bool row::is_null(std::size_t column) const {
  return PQgetisnull(result_, place_, checked(column)) != 0;
}

template <typename T>
T row::get(std::size_t column) const {
  using kind = detail::not_null<T>;
  using value = typename kind::type;
  static_assert(readable_column<value>,
                "rondo: no postgres::codec reads this type; get a std::string, or specialise "
                "postgres::codec for it");
  const int place = checked(column);
  if (PQgetisnull(result_, place_, place) != 0) {
    if constexpr (kind::may_be_null) return std::nullopt;
    detail::wrong_value(result_, place, "it is null; ask for a std::optional");
  }
  if (PQfformat(result_, place) != 0) {
    detail::wrong_value(result_, place, "it came in binary (a binary cursor?)");
  }
  const std::string_view text(PQgetvalue(result_, place_, place),
                              static_cast<std::size_t>(PQgetlength(result_, place_, place)));
  try {
    return codec<value>::read(text);
  } catch (const error& e) {
    detail::wrong_value(result_, place, e.message());
  }
}

inline row rows::operator[](std::size_t place) const {
  if (place >= size()) {
    throw std::out_of_range("rondo: there is no row " + std::to_string(place) + " of " +
                            std::to_string(size()));
  }
  return row(result_.get(), static_cast<int>(place));
}
inline rows::iterator rows::begin() const noexcept { return iterator(result_.get(), 0); }
inline rows::iterator rows::end() const noexcept {
  return iterator(result_.get(), PQntuples(result_.get()));
}

inline std::string_view rows::column_name(std::size_t column) const {
  if (column >= columns()) detail::no_such_column(std::to_string(column));
  return PQfname(result_.get(), static_cast<int>(column));
}

inline std::uint64_t rows::affected() const noexcept {
  if (!result_) return 0;
  const std::string_view digits = PQcmdTuples(result_.get());
  std::uint64_t count = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), count);
  return count;
}

inline std::string_view rows::command() const noexcept {
  if (!result_) return {};
  return PQcmdStatus(result_.get());
}

}  // namespace rondo::postgres
