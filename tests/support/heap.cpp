// SPDX-License-Identifier: BSL-1.0

#include "support/heap.hpp"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RONDO_TEST_HEAP_NOT_COUNTED
#endif
#endif

#if defined(RONDO_TEST_HEAP_NOT_COUNTED)

namespace rondo::testing {

std::size_t allocations() noexcept { return 0; }
std::size_t live_blocks() noexcept { return 0; }
void fail_allocation(std::size_t) noexcept {}
bool allocation_failed() noexcept { return false; }

}  // namespace rondo::testing

bool rondo_test::heap_is_counted() noexcept { return false; }

#else

#include <rondo/testing/operator_new.hpp>

bool rondo_test::heap_is_counted() noexcept { return true; }

#endif
