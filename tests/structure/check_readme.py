#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Every C++ block of README.md that follows a comment like one of these

    <!-- examples/hello.cpp -->
    <!-- examples/hello.cpp name -->

equals that file, with or without the comment it opens with; or, with a name, the part of it that
stands between two lines `// [name]`.
"""
import re
import sys
import textwrap

BLOCK = re.compile(r"<!--[ ]*(\S+\.[ch]pp)(?:[ ]+([\w-]+))?[ ]*-->\s*\n```cpp\n(.*?)^```", re.DOTALL | re.MULTILINE)


def without_opening_comment(text):
    lines = text.split("\n")
    while lines and (lines[0].startswith("//") or not lines[0].strip()):
        lines.pop(0)
    return "\n".join(lines)


def tidy(text):
    return textwrap.dedent(text).strip("\n").rstrip()


def check(root):
    try:
        readme = open(f"{root}/README.md", encoding="utf-8").read()
    except FileNotFoundError:
        return [], 0
    problems = []
    blocks = list(BLOCK.finditer(readme))
    announced = len(re.findall(r"<!--[ ]*\S+\.[ch]pp\b[^\n]*-->", readme))
    if announced != len(blocks):
        problems.append(f"README.md: {announced} comments name a source file, but only "
                        f"{len(blocks)} stand right before a block of cpp")
    for block in blocks:
        path, name, text = block.groups()
        where = f"README.md:{readme.count(chr(10), 0, block.start()) + 1}"
        try:
            source = open(f"{root}/{path}", encoding="utf-8").read()
        except FileNotFoundError:
            problems.append(f"{where}: {path} does not exist")
            continue
        marker = re.compile(r"^[ \t]*// \[[\w-]+\][ \t]*\n", re.MULTILINE)
        if name:
            parts = re.split(rf"^[ \t]*// \[{name}\][ \t]*\n", source, flags=re.MULTILINE)
            if len(parts) != 3:
                problems.append(f"{where}: {path} has no part between two lines '// [{name}]'")
                continue
            wanted = [parts[1]]
        else:
            wanted = [source, without_opening_comment(source)]
        if tidy(text) not in [tidy(marker.sub("", one)) for one in wanted]:
            problems.append(f"{where}: this block differs from {path}{' ' + name if name else ''}")
    return problems, len(blocks)


if __name__ == "__main__":
    found, count = check(sys.argv[1])
    if found:
        sys.exit("\n".join(found))
    print(f"{count} snippets equal their sources")
