#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""benchmarks/report.py on a made-up round of every contender that there is, a row each.

check_report.py ROOT
"""
import pathlib
import re
import subprocess
import sys
import tempfile

root = pathlib.Path(sys.argv[1])


def report(lines, *options):
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(lines))
        file.flush()
        return subprocess.run([sys.executable, root / "benchmarks/report.py", file.name, *options],
                              capture_output=True, text=True)


questions = sorted({path.parent for path in (root / "benchmarks").glob("*/question.hpp")})
assert len(questions) > 5, questions
lines = []
for question in questions:
    contenders = sorted(question.glob("*.cpp"))
    assert any(c.stem == "rondo" for c in contenders), question
    for contender in contenders:
        ns = 2 if contender.stem.startswith("rondo") else 1
        lines.append(f"1 {question.name} row {contender.stem} {ns} 0 1\n")

done = report(lines)
assert done.returncode == 0, done.stderr
for question in questions:  # each has a limit, so a loss is named
    assert re.search(rf"^  {question.name} row, rondo: 2.00$", done.stdout, re.M), \
        f"{question.name} has no limit:\n{done.stdout}"
assert re.search(r"^  echo row, rondo_epoll: 2.00$", done.stdout, re.M), done.stdout
assert report(lines, "--gate", "1.15").returncode == 1
assert report([line.replace(" 2 0 1", " 1 0 1") for line in lines], "--gate", "1.15").returncode == 0
assert report(lines[:0], "--gate", "1.15").returncode == 1  # nothing was compared
