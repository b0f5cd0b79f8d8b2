// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <rondo/testing/heap.hpp>

// Counts what goes through the global operator new and delete of a test executable, on all threads.
// Catch2's own macros allocate too, so take the numbers first and check them afterwards:
//
//   const auto before = rondo_test::allocations();
//   work();
//   const auto during = rondo_test::allocations() - before;
//   CHECK(during == 0);
//
// Clang leaves out a new whose block nobody else sees, and under its ThreadSanitizer, which brings
// an operator new that cannot be replaced, nothing is counted: a test that needs a count above
// zero says `if (!rondo_test::heap_is_counted()) SKIP("needs a counted heap");`.
namespace rondo_test {

using rondo::testing::allocations;
using rondo::testing::live_blocks;
bool heap_is_counted() noexcept;  // if not, both numbers stay 0

}  // namespace rondo_test
