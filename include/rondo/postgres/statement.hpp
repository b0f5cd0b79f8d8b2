// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// What can be sent to the server: a text with its arguments, or a statement that was prepared
// before.

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <rondo/postgres/libpq.hpp>
#include <rondo/postgres/parameters.hpp>

namespace rondo::postgres {

namespace detail {
class request;
}

/// A statement that the server has parsed: made by connection::prepare, used there with query, and
/// in a pipeline. It is known to that connection only, and lives as long as that does.
class statement {
 public:
  statement() noexcept {}
  /// As it was given to prepare.
  [[nodiscard]] const std::string& sql() const noexcept { return sql_; }
  /// The server's name for it.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  friend detail::request;
  statement(std::string name, std::string sql) : name_(std::move(name)), sql_(std::move(sql)) {}

  std::string name_;
  std::string sql_;
};

// Implementation

namespace detail {

/// One statement on its way to the server.
class request {
 public:
  template <typename... Args>
  explicit request(std::string sql, const Args&... args)
      : statement_("", std::move(sql)), arguments_(args...) {
    if (statement_.sql_.find('\0') != std::string::npos) {
      throw std::invalid_argument("rondo: a statement cannot contain a zero byte");
    }
  }
  template <typename... Args>
  explicit request(const statement& prepared, const Args&... args)
      : statement_(prepared), arguments_(args...) {
    if (statement_.name_.empty()) {
      throw std::logic_error("rondo: a statement was used before it was prepared");
    }
  }

  /// One that is only parsed, under this name.
  [[nodiscard]] static request to_prepare(std::string name, std::string sql) {
    request r(std::move(sql));
    r.statement_.name_ = std::move(name);
    r.only_parsed_ = true;
    return r;
  }

  [[nodiscard]] const std::string& sql() const noexcept { return statement_.sql_; }
  [[nodiscard]] std::string take_sql() noexcept { return std::move(statement_.sql_); }
  [[nodiscard]] statement take_statement() noexcept { return std::move(statement_); }

  /// What libpq's send functions give: 0 for "no".
  int send(PGconn* to, bool in_pipeline) const {
    const char* const sql = statement_.sql_.c_str();
    const char* const name = statement_.name_.c_str();
    if (only_parsed_) return PQsendPrepare(to, name, sql, 0, nullptr);
    if (*name == '\0' && arguments_.empty() && !in_pipeline) return PQsendQuery(to, sql);
    return arguments_.pass_to([&](int count, const Oid* types, const char* const* values,
                                  const int* lengths, const int* formats) {
      constexpr int as_text = 0;
      if (*name != '\0') {
        return PQsendQueryPrepared(to, name, count, values, lengths, formats, as_text);
      }
      return PQsendQueryParams(to, sql, count, types, values, lengths, formats, as_text);
    });
  }

 private:
  statement statement_;  // without a name: it is parsed and executed
  parameters arguments_;
  bool only_parsed_ = false;
};

}  // namespace detail
}  // namespace rondo::postgres
