// SPDX-License-Identifier: BSL-1.0

#include <rondo/rondo.hpp>

rondo::task<int> answer() { co_return 42; }
