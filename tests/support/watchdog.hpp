// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

// A test that runs for longer than 60 seconds is named on stderr and the process aborts.
// RONDO_TEST_TIMEOUT=<seconds> changes the limit, 0 lifts it (for a debugger).
//
// Before that, the function set here is called, on the thread that runs the tests, in a signal
// handler: it may say what hangs, such as the tree of tasks. It can rely on little, since the
// thread stopped anywhere; if it does not return within five seconds the process aborts anyway.
extern std::string (*rondo_test_hang_report)();
