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
