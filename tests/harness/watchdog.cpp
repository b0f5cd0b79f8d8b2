// SPDX-License-Identifier: BSL-1.0

// The watchdog of support/watchdog.hpp. Run on its own with RONDO_TEST_HANG set, this must end
// with:
// expect: The test "hangs when asked to" is still running after 1 s
// expect: this is what hangs

#include "support/watchdog.hpp"

#include <unistd.h>

#include <cstdlib>

#include "support/catch.hpp"

TEST_CASE("hangs when asked to") {
  if (std::getenv("RONDO_TEST_HANG") == nullptr) return;
  rondo_test_hang_report = [] { return std::string("this is what hangs\n"); };
  for (;;) ::pause();
}
