// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// Where in the source something happens. std::source_location, where there is one: clang 14 with
// libstdc++ has none, and then places are not known.
//
// An await learns its place from a default argument of await_suspend, and writes it into its line:
// two instructions, and no memory in the frame of a coroutine.

#include <version>
#if defined(__cpp_lib_source_location)
#include <source_location>
#endif

namespace rondo::detail {

#if defined(__cpp_lib_source_location)
using std::source_location;
#else
struct source_location {
  static constexpr source_location current() noexcept { return {}; }
  [[nodiscard]] constexpr unsigned line() const noexcept { return 0; }
  [[nodiscard]] constexpr const char* file_name() const noexcept { return ""; }
  [[nodiscard]] constexpr const char* function_name() const noexcept { return ""; }
};
#endif

}  // namespace rondo::detail
