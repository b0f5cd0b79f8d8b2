# SPDX-License-Identifier: BSL-1.0
#
# rondo_warnings: what rondo's own tests, examples and benchmarks are compiled with.
include_guard(GLOBAL)
set(RONDO_WARNINGS -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
add_library(rondo_warnings INTERFACE)
target_compile_options(rondo_warnings INTERFACE ${RONDO_WARNINGS})
