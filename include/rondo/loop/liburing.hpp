// SPDX-License-Identifier: BSL-1.0
#pragma once
//
// The only place that includes liburing. Rondo works with liburing 2.3 and later, and asks the
// kernel, never liburing's version, for what it can do.

#if !__has_include(<liburing.h>)
#error \
    "rondo needs liburing: install liburing-dev (Debian, Ubuntu), liburing-devel (Fedora) or liburing (Arch)"
#endif
#include <liburing.h>

namespace rondo::detail {

/// The entries of a ring of buffers, which begin where it begins. Its member `bufs` lies 8 bytes
/// behind that in C++ if a program includes <linux/io_uring.h> before liburing, which then takes the
/// definitions from there: they put an empty struct in front, and in C++ that has a size.
[[nodiscard]] inline io_uring_buf* entries_of(io_uring_buf_ring* ring) noexcept {
  return reinterpret_cast<io_uring_buf*>(ring);
}

}  // namespace rondo::detail
