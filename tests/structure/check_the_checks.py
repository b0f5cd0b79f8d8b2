#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Small trees with one mistake each, and what the checks of this folder must say about them."""
import pathlib
import subprocess
import sys
import tempfile

import check_readme
import lint

root, cmake = sys.argv[1:3]


def tree(files):
    directory = tempfile.TemporaryDirectory()
    for name, text in files.items():
        path = pathlib.Path(directory.name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def layers(directory):
    done = subprocess.run([cmake, "-D", f"ROOT={directory}", "-P", f"{root}/cmake/check_layers.cmake"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return [done.stdout] if done.returncode else []


def readme(directory):
    return check_readme.check(directory)[0]


def spelling(directory):
    return lint.check(directory)[0]


def header(path, line):
    return {f"include/rondo/{path}": f"#pragma once\n{line}\n", "include/rondo/config.hpp": "",
            "include/rondo/core/task.hpp": "", "include/rondo/loop/run.hpp": "",
            "include/rondo/compose/when_all.hpp": ""}


def body(line):
    return {"examples/a.cpp": f"task<> f() {{\n{line}\n}}\n"}


CASES = [  # check, tree, what it must say (None: nothing)
    (layers, header("core/x.hpp", "#include <rondo/config.hpp>"), None),
    (layers, header("core/x.hpp", '#include "task.hpp"'), None),
    (layers, header("core/x.hpp", "#include <vector>"), None),
    (layers, header("core/x.hpp", "// #include <unistd.h>"), None),
    (layers, header("core/x.hpp", "#include <rondo/loop/run.hpp>"), "core/x.hpp:2: core must not include loop"),
    (layers, header("core/x.hpp", '#include "../loop/run.hpp"'), "core/x.hpp:2: core must not include loop"),
    (layers, header("core/x.hpp", "#include <unistd.h>"), "core must not include system headers"),
    (layers, header("core/x.hpp", "#  include <functional>"), "too heavy"),
    (layers, header("core/x.hpp", '#include "gone.hpp"'), "does not exist"),
    (layers, header("io/x.hpp", "#include <rondo/compose/when_all.hpp>"), "io must not include compose"),
    (layers, header("io/x.hpp", "#include <sys/socket.h>"), None),
    (layers, header("io/x.hpp", "#include <liburing.h>"), "loop/liburing.hpp only"),
    (layers, header("loop/liburing.hpp", "#include <liburing.h>"), None),
    (layers, header("net/x.hpp", "#include <curl/curl.h>"), "belongs to an integration"),
    (layers, header("http/x.hpp", "#include <curl/curl.h>"), None),
    (layers, header("magic/x.hpp", ""), "has no layer"),
    (spelling, body("if (co_await x) {}"), "examples/a.cpp:2"),
    (spelling, body("while (!co_await x) {}"), "examples/a.cpp:2"),
    (spelling, body("if (auto v = co_await x) {}"), None),
    (spelling, body("// if (co_await x)"), None),
    (spelling, body("file f = c ? adopt(0) :\n  co_await open();"), "examples/a.cpp:2: GCC 12 breaks objects"),
    (spelling, body('print("really?"); co_await x;'), None),
    (spelling, body("CHECK(co_await x == 1);"), "more than once"),
    (spelling, body("REQUIRE_THROWS_AS(\n  co_await x, int);"), "examples/a.cpp:3"),
    (spelling, body("CHECK(run([]() -> task<> { co_await x; }()));"), None),
    (readme, {"README.md": "<!-- a.cpp -->\n```cpp\nint a;\n```\n", "a.cpp": "// hi\n\nint a;\n"}, None),
    (readme, {"README.md": "<!-- a.cpp -->\n```cpp\nint b;\n```\n", "a.cpp": "int a;\n"}, "README.md:1"),
    (readme, {"README.md": "<!-- a.cpp p -->\n```cpp\nint a;\n```\n",
              "a.cpp": "{\n  // [p]\n  int a;\n  // [p]\n}\n"}, None),
    (readme, {"README.md": "<!-- a.cpp q -->\n```cpp\nint a;\n```\n", "a.cpp": "int a;\n"}, "no part between"),
    (readme, {"README.md": "<!-- a.cpp -->\n\ntext\n"}, "stand right before"),
]

wrong = 0
for check, files, sentence in CASES:
    with tree(files) as directory:
        said = "\n".join(check(directory))
    flat = " ".join(said.split())
    if (sentence is None and said) or (sentence is not None and sentence not in flat):
        print(f"{check.__name__} of {files}\n  said     {said or 'nothing'}\n  expected {sentence or 'nothing'}")
        wrong += 1
sys.exit(f"{wrong} of {len(CASES)} cases" if wrong else 0)
