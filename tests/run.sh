#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# tests/run.sh [PRESET] [CTEST-ARGUMENT...]
#
# Builds everything and runs all tests. Installs what it needs first, if something is missing
# (Debian and Ubuntu; see cmake/install-packages.sh). CXX chooses the compiler.
#   PRESET             dev (default), debug, release, asan, tsan; see CMakePresets.json
#   CTEST-ARGUMENT     such as -R timers, or -L net
set -euo pipefail
cd "$(dirname "$0")/.."
generator=()
preset=dev
if [[ ${1:-} != -* ]] && [ $# -gt 0 ]; then preset=$1; shift; fi
build=build/$preset${CXX:+-$(basename "${CXX%% *}")}
jobs=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}

./cmake/install-packages.sh tests
if [ ! -e "$build/CMakeCache.txt" ] && command -v ninja >/dev/null; then
  generator=(-G Ninja)
fi
cmake --preset "$preset" -B "$build" "${generator[@]}"
cmake --build "$build" --parallel "$jobs"
exec ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$jobs" "$@"
