// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// For tests: how much was allocated, and what happens when there is no memory.
//
//     for (std::size_t n = 1;; ++n) {
//       rondo::testing::fail_allocation(n);
//       try { session(); } catch (const std::bad_alloc&) {}
//       if (!rondo::testing::allocation_failed()) break;      // it needs fewer than n
//     }
//
// The functions are defined in rondo/testing/operator_new.hpp, which one source file of the program
// includes. Frames of coroutines that a thread keeps for the next ones are not allocated again: to
// see each of them fail, run the session on a thread of its own.

#include <cstddef>

namespace rondo::testing {

/// Calls of operator new so far, of all forms, on all threads.
[[nodiscard]] std::size_t allocations() noexcept;
/// Those whose memory is not freed yet.
[[nodiscard]] std::size_t live_blocks() noexcept;
/// Lets the n-th allocation from now on fail, once, on whatever thread it is; 1 is the next one, 0
/// takes it back.
void fail_allocation(std::size_t n) noexcept;
/// Whether it has failed since.
[[nodiscard]] bool allocation_failed() noexcept;

}  // namespace rondo::testing
