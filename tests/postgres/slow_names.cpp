// SPDX-License-Identifier: BSL-1.0

// libpq looks names up with the same function as libcurl.
#include "http/slow_names.cpp"
