// SPDX-License-Identifier: BSL-1.0

// A result gives its value away, so it is no constant and no rvalue reference.
// expect: result<T>: T is an object type, an lvalue reference or void, and not const

#include <rondo/rondo.hpp>

#ifdef RONDO_CONTROL
rondo::result<int> answer{std::in_place, 42};
#else
rondo::result<const int> answer{std::in_place, 42};
#endif
