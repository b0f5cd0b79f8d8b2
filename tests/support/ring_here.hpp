// SPDX-License-Identifier: BSL-1.0
#pragma once

// The ring of the running loop, for tests of what a kernel may lack.

#include <rondo/loop/event_loop.hpp>

namespace rondo::test {

struct ring_access : detail::engine {
  static detail::ring& of(event_loop& loop) { return loop.*(&ring_access::ring_); }
};
inline detail::ring& ring_here() { return ring_access::of(event_loop::current()); }

}  // namespace rondo::test
