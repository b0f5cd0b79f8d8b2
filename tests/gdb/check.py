#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""check.py PROGRAM

Runs the program (program.cpp) under gdb on both rings, until it aborts: rondo/gdb.py tells of its
tasks what format_tasks has told, also from a core file, and who awaits whom; and it says in a
sentence what it cannot do.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parents[1] / "include" / "rondo" / "gdb.py"
LINES = (HERE / "program.cpp").read_text().split("\n")


def gdb(*commands, program=(), backend="epoll"):
    """What gdb prints: for each command, and as errors."""
    arguments = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", f"source {SCRIPT}"]
    for command in commands:
        arguments += ["-ex", r"echo \n====\n", "-ex", command]
    done = subprocess.run(arguments + list(program), env=dict(os.environ, RONDO_BACKEND=backend), text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    assert not re.search("Traceback|Python Exception|RTTI", done.stderr), done.stderr
    return [part.strip("\n") for part in done.stdout.split("\n====\n")[1:]], done.stderr


def skip_unless_gdb_can():
    if shutil.which("gdb") is None:
        sys.exit(print("skipped: needs gdb"))
    if gdb("python print('has' + ' Python')")[0] != ["has Python"]:
        sys.exit(print("skipped: needs a gdb with Python"))
    if "exited normally" not in gdb("run", program=["/bin/true"])[0][0]:
        sys.exit(print("skipped: needs a kernel that lets gdb trace a program"))


def line_of(word):
    return next(i for i, line in enumerate(LINES, 1) if line.endswith("// " + word))


def split_threads(text):
    """The rows of each loop, without their numbers, which count them all."""
    rows = [row for row in text.split("\n") if not row.startswith("Thread ")]
    assert [int(row[:4]) for row in rows] == list(range(1, len(rows) + 1)), text
    first, second = re.fullmatch(r"Thread 1:\n(.*)\nThread \d+:\n(.*)", text, re.DOTALL).groups()
    return tuple([row[4:] for row in loop.split("\n")] for loop in (first, second))


def check_tasks(text, told, time_is_known):
    first, second = split_threads(text)
    assert first == told, f"\n{text}\n\nformat_tasks: " + "\n".join(told)
    assert re.match("root: runs", second[0]), second
    time = r", 3[56]\d\d\.\d s left(, at .*)?, for \d+(\.\d)? m?s" if time_is_known else "(, at .*)?"
    assert re.fullmatch("sleeper: sleep" + time, second[1]), second


def check_backtraces(text, places):
    """Each task's rows: the function, and a line where that is the same for all compilers."""
    found = {}
    for task in re.split(r"^Task \d+, ", text, flags=re.MULTILINE)[1:]:
        head, *rows = task.strip().split("\n")
        if not head.startswith("root"):
            assert [int(row[1:3]) for row in rows] == list(range(len(rows))), task
        found.setdefault(re.split("[:,]", head)[0], []).append([row[4:] for row in rows])

    def suspended(function, word=None):
        if not places:
            return rf"app::{function} defined at program\.cpp:\d+"
        return rf"app::{function} at program\.cpp:{line_of(word or function)}"

    def awaits(function):
        return rf"app::{function} defined at program\.cpp:{line_of(function)}"

    def check(task, *expected):
        rows = found[task][0]
        assert len(rows) == len(expected) and all(map(re.fullmatch, expected, rows)), (rows, expected)

    check("root", "The bt of its thread shows it.")
    check("chain", suspended("innermost"), awaits("middle"), awaits("outermost"))
    check("reader", suspended("reads"))
    check("accepter", suspended("accepts"))
    check("generator", suspended("numbers_from", "generator"), awaits("generated"))
    check("both", suspended("both"))
    check("ready", suspended("yields"))
    check("not begun")
    check("first", suspended("sleep_long"), r"app::group (at|defined at) program\.cpp:\d+")
    # A child of a combinator that is a task; one that is none, but a limit; and what is under that.
    check("sleep", suspended("sleep_long"), suspended("both"))
    check("with_timeout", suspended("both"))
    assert found["sleep"][1] == found["with_timeout"][0], found["sleep"]


def check_program(program, backend, core):
    (ran, tasks, backtraces, one, by_pointer, by_value, _), errors = gdb(
        "run", "rondo tasks", "rondo bt", "rondo bt 2", "rondo tasks at_rest", "rondo bt 1 *at_rest",
        f"generate-core-file {core}", program=[program], backend=backend)
    if "<<" not in ran and backend == "io_uring":
        return print("io_uring is refused here")
    told = re.search("<<(.*)\n>>", ran, re.DOTALL).group(1).split("\n")
    places = "places are known" in ran
    assert places == any(", at program.cpp:" in row for row in told), ran
    check_tasks(tasks, told, time_is_known=True)
    check_backtraces(backtraces, places)
    assert one == backtraces[backtraces.index("Task 2,"):backtraces.index("\nTask 3,")], one
    assert by_pointer == "1   later: is ready", by_pointer
    assert by_value == "Task 1, later: is ready", by_value

    (tasks, backtraces), errors = gdb("rondo tasks", "rondo bt", program=[program, core])
    check_tasks(tasks, told, time_is_known=False)
    check_backtraces(backtraces, places)


def check_errors(program):
    def says(sentence, *commands, of=program):
        _, errors = gdb(*commands, program=[of])
        assert sentence in errors, (sentence, errors)

    says("There is no program to look at", "rondo tasks")
    says("No thread runs a loop", "break main", "run", "rondo tasks")
    says("No thread runs a loop", "break main", "run", "rondo bt")
    says("There is no task 99; there are ", "run", "rondo bt 99")
    says("There is no task 0; there are ", "run", "rondo bt 0")
    says('No symbol "nothing" in current context', "run", "rondo tasks nothing")
    says("1 + 1 is no rondo::event_loop", "run", "rondo tasks 1 + 1")
    says("Nothing is known of rondo here", "starti", "rondo tasks", of="/bin/true")


def main():
    skip_unless_gdb_can()
    with tempfile.TemporaryDirectory() as folder:
        for backend in "io_uring", "epoll":
            check_program(sys.argv[1], backend, os.path.join(folder, backend))
    check_errors(sys.argv[1])


if __name__ == "__main__":
    main()
