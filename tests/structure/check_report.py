#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""benchmarks/report.py on a made-up round of every contender that there is, a row each: limits cost
1, rondo 2 and peers 3.

check_report.py ROOT
"""
import json
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
peers = sorted(path for path in (root / "benchmarks").glob("*/peers/*") if path.suffix in (".cpp", ".py", ".go"))
assert len(peers) > 10, peers
unlike = [f"1 {peer.parent.parent.name} row {peer.stem} 3 0 1\n" for peer in peers]

done = report(lines)
assert done.returncode == 0, done.stderr
for question in questions:  # each has a limit, so a loss is named
    assert re.search(rf"^  {question.name} row, rondo: 2.00$", done.stdout, re.M), \
        f"{question.name} has no limit:\n{done.stdout}"
assert re.search(r"^  echo row, rondo_epoll: 2.00$", done.stdout, re.M), done.stdout
assert report(lines, "--gate", "1.15").returncode == 1
assert report([line.replace(" 2 0 1", " 1 0 1") for line in lines], "--gate", "1.15").returncode == 0
assert report(lines[:0], "--gate", "1.15").returncode == 1  # nothing was compared

# Peers are no limits, and are told apart: what rondo costs them.
done = report(lines + unlike)
for peer in peers:
    question = peer.parent.parent.name
    marked = rf"^{question} +row +{peer.stem} +3\.00 ns .*   3\.00 \(3\.00-3\.00\), a peer$"
    assert re.search(marked, done.stdout, re.M), f"{marked}:\n{done.stdout}"
    beside = rf"^{question} +row +2\.00 ns +2\.00   \w+ +1\.50   .*{peer.stem} 1\.50"
    assert re.search(beside, done.stdout, re.M), f"{beside}:\n{done.stdout}"
assert "Beside the peers" not in report(lines).stdout

# The best peer is that of the least median, and its ratio is of rounds that both ran. What is not
# time says what it is in.
few = ["1 echo size raw 1 0 1 KiB\n", "1 echo size rondo 4 0 1 KiB\n", "2 echo size rondo 5 0 1 KiB\n",
       "1 echo size asio 2 0 1 KiB\n", "1 echo size libuv 8 0 1 KiB\n", "3 echo size libuv 8 0 1 KiB\n"]
with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
    done = report(few, "--json", file.name)
    row, = json.load(file)
assert re.search(r"^echo +size +rondo +4\.50 KiB .*   4\.00 \(4\.00-4\.00\)$", done.stdout, re.M), done.stdout
assert re.search(r"^echo +size +4\.50 KiB +4\.00   asio +0\.50   asio 0\.50, libuv 2\.00$", done.stdout,
                 re.M), done.stdout
assert (row["question"], row["row"], row["unit"], row["best_peer"]) == ("echo", "size", "KiB", "asio"), row
asio = row["contenders"]["asio"]
assert asio["peer"] and asio["times_limit"] == 2 and asio["times_rondo"] == 0.5, asio
assert not row["contenders"]["rondo"]["peer"], row
