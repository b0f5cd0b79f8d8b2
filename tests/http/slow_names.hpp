// SPDX-License-Identifier: BSL-1.0
#pragma once

// A name that takes as long to look up as a test wants: slow.invalid.
//
//     const slow_name blocked;   // until it is destroyed, looking up slow.invalid does not end
//
// It stands in the way of the C library's getaddrinfo, which libcurl calls on a thread; other names
// go through. No name server can be made slow at will without the rights of root.
namespace rondo::test {

class slow_name {
 public:
  slow_name();
  slow_name(const slow_name&) = delete;
  slow_name& operator=(const slow_name&) = delete;
  ~slow_name();

  /// Look-ups that have begun and not ended.
  [[nodiscard]] static int waiting();
  /// Look-ups that have ever begun.
  [[nodiscard]] static int asked();
};

}  // namespace rondo::test
