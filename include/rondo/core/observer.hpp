// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Somebody who looks at what lines of work are suspended on, for people to read. A leaf shows what
// it has: the lines that it waits for, and what tells it from others of its kind.

#include <cstdint>
#include <string_view>

namespace rondo::detail {

class scope;

class observer {
 public:
  /// A line inside; `name` if it has one.
  virtual void child(const scope& line, std::string_view name) = 0;
  void child(const scope& line) { child(line, {}); }
  // What tells a leaf from others of its kind.
  virtual void particular(std::string_view words) = 0;
  virtual void on_descriptor(int fd) = 0;
  /// It ends by itself then, in nanoseconds of the loop's clock.
  virtual void due(std::int64_t time) = 0;

 protected:
  observer() noexcept = default;
  observer(const observer&) = delete;
  observer& operator=(const observer&) = delete;
  ~observer() = default;
};

}  // namespace rondo::detail
