#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""What does not depend on the noise of a machine, so that it cannot creep back: instructions in user
space (callgrind) and system calls (strace) of one unit of each row of program.cpp, as the difference
of two lengths of it.

    check.py instructions|system_calls PROGRAM COMPILER

The most instructions are what GCC 12.2 needs and 6 %, whose optimizer they were measured with (14.2
is at most 4 % above); others may need 20 % more. The system calls are exact, but for a look at the
outside more or less.
"""
import os
import platform
import re
import subprocess
import sys
import tempfile

# row: most instructions, system calls on io_uring, on epoll. Those that ask the kernel for nothing
# are for both.
ROWS = {
    "await": (126, 0, 0),
    "deep": (161, 0, 0),
    "yield": (60, 0, 0),
    "spawn_join": (524, 0, 0),
    "when_all_of_1000": (164, 0, 0),
    "mutex": (38, 0, 0),
    "channel_1": (165, 0, 0),
    "channel_1024": (103, 0, 0),
    "operation": (353, 1, 1 / 8),  # an operation that does nothing asks epoll for nothing
    "operations_64": (183, 1 / 64, 1 / 512),
    "with_limit_64": (551, 1 / 64, 1 / 512),
    "echo": (1205, 2, 6),  # four operations
}
SHORT, LONG = 16_000, 32_000


def skip(why):
    print(f"skipped: {why}")
    sys.exit()


def run(command, backend):
    return subprocess.run(command, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "RONDO_BACKEND": backend})


def runs(tool, program, backend):
    done = run([*tool, program, "await", "1"], backend)
    assert done.returncode == 0 or tool or "io_uring" in done.stderr, done  # refused, not broken
    return done.returncode == 0


def instructions(program, row, count, backend):
    done = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, row,
                str(count)], backend)
    assert done.returncode == 0, done.stderr
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def system_calls(program, row, count, backend):
    with tempfile.NamedTemporaryFile("r") as calls:
        done = run(["strace", "-f", "-qq", "-o", calls.name, program, row, str(count)], backend)
        assert done.returncode == 0, done.stderr
        return len(calls.readlines())


def unit(measure, program, row, backend):
    return (measure(program, row, LONG, backend) - measure(program, row, SHORT, backend)) / (LONG - SHORT)


what, program, compiler = sys.argv[1:]
tool, measure = {"instructions": (["valgrind", "-q"], instructions),
                 "system_calls": (["strace", "-o", "/dev/null"], system_calls)}[what]
backends = [backend for backend in ("io_uring", "epoll") if runs([], program, backend)]
assert "epoll" in backends, run([program, "await", "1"], "epoll")
try:
    if not runs(tool, program, "epoll"):
        skip(f"{tool[0]} cannot run programs here")
except FileNotFoundError:
    skip(f"needs {tool[0]}")
if what == "instructions" and platform.machine() != "x86_64":
    skip("the numbers are of x86-64")
if what == "instructions" and "io_uring" not in backends:
    skip("needs io_uring")

wrong = []
for row, (most, *calls) in ROWS.items():
    if what == "instructions":
        most = most if compiler == "GNU" else most * 1.2
        found = unit(measure, program, row, "io_uring")
        print(f"{row:<17} {found:7.1f} instructions, at most {most:.0f}")
        if found > most:
            wrong.append(f"{row} takes {found:.1f} instructions, and {most:.0f} at most are allowed")
        continue
    for backend, wanted in zip(("io_uring", "epoll"), calls):
        if backend not in backends:
            continue
        found = unit(measure, program, row, backend)
        print(f"{row:<17} {found:7.4f} system calls on {backend}, {wanted:.4f} are wanted")
        if abs(found - wanted) > 0.001:
            wrong.append(f"{row} takes {found:.4f} system calls on {backend}, not {wanted:.4f}")
if wrong:
    sys.exit("\n".join(wrong))
