#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# examples/run.sh [ARGUMENT...]
#
# Builds the main example, examples/fetch.cpp, and runs it with the given arguments. Installs what
# it needs first, if something is missing (Debian and Ubuntu; see cmake/install-packages.sh).
# CXX chooses the compiler, EXAMPLE another example: EXAMPLE=hello ./examples/run.sh
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
generator=()
example=${EXAMPLE:-fetch}
build=$PWD/build/examples${CXX:+-$(basename "${CXX%% *}")}

./cmake/install-packages.sh examples "$example"
if [ ! -e "$build/CMakeCache.txt" ] && command -v ninja >/dev/null; then
  generator=(-G Ninja)
fi
mkdir -p build
echo "Building $example in ${build#"$PWD/"} ..."
{
  cmake -S . -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DRONDO_BUILD_TESTS=OFF &&
    cmake --build "$build" --parallel "$(nproc)" --target "example_$example"
} >"$build.log" 2>&1 || { tail -n 40 "$build.log" >&2; exit 1; }

cd "$here"
exec "$build/examples/$example" "$@"
