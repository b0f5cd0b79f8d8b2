// SPDX-License-Identifier: BSL-1.0

// A task gives its value away, so it is no constant and no rvalue reference.
// expect: task<T>: T is an object type, an lvalue reference or void, and not const

#include <rondo/rondo.hpp>

#ifdef RONDO_CONTROL
rondo::task<int> answer() { co_return 42; }
#else
rondo::task<const int> answer() { co_return 42; }
#endif
