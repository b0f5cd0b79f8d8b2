// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What can go wrong with a database, as one exception that says it in one line:
//
//     duplicate key value violates unique constraint "users_pkey" (23505): Key (id)=(1) already
//     exists. [insert into users values ($1)]
//
// `kind()` and `sqlstate()` are for programs, `what()` for people.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <rondo/config.hpp>
#include <rondo/postgres/libpq.hpp>

namespace rondo::postgres {

enum class error_kind {
  connect_failed = 1,  // nobody listens there, the server refused, or connect_timeout has passed
  connection_lost,     // it ended in the middle of something, or had ended before
  statement_failed,    // the server says no; sqlstate() tells why
  skipped,             // in a pipeline, because a statement before it failed
  conversion,          // a value does not fit the type that was asked for
};

/// Of the codes that the server gives (PostgreSQL's documentation, appendix A), those that programs
/// look for most. Three are given here: 08001 and 08006, when no server has given one, and
/// 08007 when a connection was lost during a commit, which may have been done or not.
namespace sqlstate {
inline constexpr std::string_view not_connected = "08001";
inline constexpr std::string_view connection_lost = "08006";
inline constexpr std::string_view transaction_resolution_unknown = "08007";
inline constexpr std::string_view invalid_password = "28P01";
inline constexpr std::string_view not_null_violation = "23502";
inline constexpr std::string_view foreign_key_violation = "23503";
inline constexpr std::string_view unique_violation = "23505";
inline constexpr std::string_view check_violation = "23514";
inline constexpr std::string_view in_failed_transaction = "25P02";
inline constexpr std::string_view invalid_catalog_name = "3D000";  // there is no such database
inline constexpr std::string_view serialization_failure = "40001";
inline constexpr std::string_view deadlock_detected = "40P01";
inline constexpr std::string_view syntax_error = "42601";
inline constexpr std::string_view undefined_table = "42P01";
inline constexpr std::string_view too_many_connections = "53300";
inline constexpr std::string_view lock_not_available = "55P03";
inline constexpr std::string_view query_canceled = "57014";
}  // namespace sqlstate

class RONDO_VISIBLE error_category_type final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "rondo::postgres"; }
  [[nodiscard]] std::string message(int kind) const override;
  [[nodiscard]] std::error_condition default_error_condition(int kind) const noexcept override;
};

[[nodiscard]] inline const std::error_category& error_category() noexcept {
  static const error_category_type category;
  return category;
}

[[nodiscard]] inline std::error_code make_error_code(error_kind kind) noexcept {
  return {static_cast<int>(kind), error_category()};
}

/// What the server says about a failed statement. Each may be empty.
struct error_fields {
  std::string sqlstate;
  std::string message;
  std::string detail;
  std::string hint;
  std::string constraint;
};

/// `code()` is the kind, too.
class RONDO_VISIBLE error : public std::system_error {
 public:
  error(error_kind kind, error_fields fields, std::string statement);

  [[nodiscard]] error_kind kind() const noexcept { return static_cast<error_kind>(code().value()); }
  /// Five characters; empty for a conversion and for what was skipped.
  [[nodiscard]] const std::string& sqlstate() const noexcept { return text_->fields.sqlstate; }
  /// As it was given to query or its kin; empty when there was none.
  [[nodiscard]] const std::string& statement() const noexcept { return text_->statement; }
  [[nodiscard]] const std::string& message() const noexcept { return text_->fields.message; }
  [[nodiscard]] const std::string& detail() const noexcept { return text_->fields.detail; }
  [[nodiscard]] const std::string& hint() const noexcept { return text_->fields.hint; }
  /// The name of the constraint that was violated.
  [[nodiscard]] const std::string& constraint() const noexcept { return text_->fields.constraint; }
  /// One line; of a long statement, the beginning.
  [[nodiscard]] const char* what() const noexcept override { return text_->what.c_str(); }

 private:
  struct text {
    error_fields fields;
    std::string statement;
    std::string what;
  };
  std::shared_ptr<const text> text_;  // shared, because copying an exception must not throw
};

}  // namespace rondo::postgres

template <>
struct std::is_error_code_enum<rondo::postgres::error_kind> : std::true_type {};

// Implementation

namespace rondo::postgres {

namespace detail {

/// Runs of white space become one blank.
inline std::string in_one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool space = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (!space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

/// The first bytes, not cut in the middle of a character of UTF-8.
inline std::string beginning_of(std::string text, std::size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xC0) == 0x80) --limit;
  text.resize(limit);
  return text + "...";
}

inline error_fields fields_of(const PGresult* result) {
  const auto field = [result](int code) {
    const char* const text = PQresultErrorField(result, code);
    return std::string(text != nullptr ? text : "");
  };
  error_fields f;
  f.sqlstate = field(PG_DIAG_SQLSTATE);
  f.message = field(PG_DIAG_MESSAGE_PRIMARY);
  f.detail = field(PG_DIAG_MESSAGE_DETAIL);
  f.hint = field(PG_DIAG_MESSAGE_HINT);
  f.constraint = field(PG_DIAG_CONSTRAINT_NAME);
  if (f.message.empty()) f.message = in_one_line(PQresultErrorMessage(result));
  return f;
}

/// What libpq says about the connection as a whole.
inline error_fields fields_of(const PGconn* connection, std::string_view code) {
  error_fields f;
  f.sqlstate = code;
  f.message = in_one_line(PQerrorMessage(connection));
  return f;
}

inline error conversion_error(std::string message) {
  error_fields f;
  f.message = std::move(message);
  return error(error_kind::conversion, std::move(f), "");
}

}  // namespace detail

inline error::error(error_kind kind, error_fields fields, std::string statement)
    : std::system_error(make_error_code(kind)) {
  text t;
  t.what =
      fields.message.empty() ? error_category().message(static_cast<int>(kind)) : fields.message;
  if (!fields.sqlstate.empty()) t.what += " (" + fields.sqlstate + ")";
  if (!fields.detail.empty()) t.what += ": " + fields.detail;
  t.what = detail::in_one_line(t.what);
  if (!statement.empty()) {
    t.what += " [" + detail::beginning_of(detail::in_one_line(statement), 200) + "]";
  }
  t.fields = std::move(fields);
  t.statement = std::move(statement);
  text_ = std::make_shared<const text>(std::move(t));
}

inline std::string error_category_type::message(int kind) const {
  switch (static_cast<error_kind>(kind)) {
    case error_kind::connect_failed:
      return "no connection to the database";
    case error_kind::connection_lost:
      return "the connection to the database is lost";
    case error_kind::statement_failed:
      return "the statement failed";
    case error_kind::skipped:
      return "skipped, because a statement before it in the pipeline failed";
    case error_kind::conversion:
      return "the value does not fit";
  }
  return "database error";
}

inline std::error_condition error_category_type::default_error_condition(int kind) const noexcept {
  switch (static_cast<error_kind>(kind)) {
    case error_kind::connect_failed:
      return std::errc::connection_refused;
    case error_kind::connection_lost:
      return std::errc::connection_reset;
    default:
      return {kind, *this};
  }
}

}  // namespace rondo::postgres
