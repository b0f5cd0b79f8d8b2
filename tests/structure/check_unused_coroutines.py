#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Who includes rondo/rondo.hpp compiles none of its coroutines: see on_use in core/task.hpp.

check_unused_coroutines.py ROOT COMPILER
"""
import pathlib
import re
import subprocess
import sys
import tempfile

root, compiler = pathlib.Path(sys.argv[1]), sys.argv[2]


def coroutines(code, folder):
    """The names of those that this code has in its object file."""
    result = pathlib.Path(folder) / "code.o"
    subprocess.run([compiler, "-std=c++20", "-O0", "-I", root / "include", "-x", "c++", "-c", "-",
                    "-o", result], input=code, text=True, check=True)
    symbols = subprocess.run(["nm", "-C", result], capture_output=True, text=True, check=True).stdout
    found = set()
    for line in symbols.splitlines():
        if ".actor" in line or ".resume" in line:  # as GCC calls a coroutine's body, and clang
            found.add(re.sub(r"\(.*", "", line.split(None, 2)[2]))
    return found


with tempfile.TemporaryDirectory() as folder:
    include = "#include <rondo/rondo.hpp>\n"
    if not coroutines(include + "rondo::task<> mine() { co_return; }\n", folder):
        sys.exit("this check does not recognize a coroutine any more")
    if unused := coroutines(include, folder):
        sys.exit("each file that includes rondo/rondo.hpp compiles these coroutines, which must be "
                 "templates (template <typename = on_use>): " + ", ".join(sorted(unused)))
