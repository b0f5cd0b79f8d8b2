// SPDX-License-Identifier: BSL-1.0
#pragma once

// What tests include instead of Catch2's own headers, so that one tree builds with Catch2 2 and 3.
//
//   #include "support/catch.hpp"
//   TEST_CASE("a sentence that states behaviour") { CHECK(1 + 1 == 2); }
//
// Beside the usual macros: Approx, Catch::Matchers::ContainsSubstring, and SKIP("needs ..."), which
// CTest shows as skipped. SKIP returns from the function it stands in, so it cannot be used inside
// a coroutine: skip before entering one. A co_await never goes inside CHECK or REQUIRE: GCC would
// run it more than once.

#if __has_include(<catch2/catch_all.hpp>)

#include <catch2/catch_approx.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>

using Catch::Approx;

#if !defined(SKIP) // Catch2 before 3.3
#define RONDO_TEST_OWN_SKIP
#endif

#else

#include <catch2/catch.hpp>

namespace Catch::Matchers {
inline auto ContainsSubstring(const std::string& text) { return Contains(text); }
}  // namespace Catch::Matchers

#define RONDO_TEST_OWN_SKIP

#endif

#if defined(RONDO_TEST_OWN_SKIP)
namespace rondo_test {
void note_skipped() noexcept;  // makes the executable end with the status that CTest calls skipped
}
#define SKIP(...)                        \
  do {                                   \
    rondo_test::note_skipped();          \
    WARN("skipped: " << __VA_ARGS__);    \
    return;                              \
  } while (false)
#endif
