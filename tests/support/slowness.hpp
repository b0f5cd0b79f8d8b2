// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstdlib>

namespace rondo::test {

/// What a test allows something to take. RONDO_TEST_SLOWNESS=<n> is how many times slower than a
/// usual machine this one is, an emulator for example.
template <typename Duration>
Duration at_most(Duration limit) {
  const char* const text = std::getenv("RONDO_TEST_SLOWNESS");
  return limit * std::max(1, text != nullptr ? std::atoi(text) : 1);
}

}  // namespace rondo::test
