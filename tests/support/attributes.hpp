// SPDX-License-Identifier: BSL-1.0
#pragma once

// Names of extended attributes that the file system of temporary files takes.
//
// Before Linux 6.6 a tmpfs has no "user." attributes, only those for root.

#include <sys/xattr.h>

#include <cerrno>
#include <string>

#include "support/loop_test.hpp"

namespace rondo::test {

inline std::string attribute(const std::string& name) {
  static const std::string space = [] {
    const temporary_folder folder;
    const bool taken = ::setxattr((folder / "").c_str(), "user.rondo", "x", 1, 0) == 0;
    return taken || errno != EOPNOTSUPP ? "user." : "trusted.";
  }();
  return space + name;
}

}  // namespace rondo::test
