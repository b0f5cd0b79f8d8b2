#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""examples.py TEMPLATE PROGRAM: an example against a server of its own.

It must print what its opening comment says, whatever the numbers of milliseconds are. Prints
"skipped: ..." where PostgreSQL's server is not installed.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def expected_of(program):
    source = HERE.parents[1] / "examples" / (pathlib.Path(program).name + ".cpp")
    lines = source.read_text().split("#include")[0].splitlines()
    called = next(i for i, line in enumerate(lines) if line.startswith("//     ./"))
    return [line[7:] for line in lines[called + 1:] if line.startswith("//     ")]


def in_any_time(text):
    return re.sub(r"\d+ ms", "N ms", text)


def main(template, program):
    if not pathlib.Path("/usr/lib/postgresql").exists():
        sys.exit("skipped: needs PostgreSQL's server")
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([sys.executable, HERE / "server.py", folder, template],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            port = server.stdout.readline().strip()
            conninfo = f"host={folder} port={port} user=postgres dbname=postgres"
            done = subprocess.run([program, conninfo], capture_output=True, text=True, timeout=60,
                                  stdin=subprocess.DEVNULL)
        finally:
            server.stdin.close()
            server.wait()
    print(done.stdout, done.stderr)
    if done.returncode != 0 or done.stderr:
        sys.exit("it failed")
    if in_any_time(done.stdout).splitlines() != [in_any_time(line) for line in expected_of(program)]:
        sys.exit("that is not what its comment says")
    refused = subprocess.run([program, "host=127.0.0.1 port=1 user=me"], capture_output=True,
                             text=True, timeout=60)
    if refused.returncode != 1 or len(refused.stderr.splitlines()) != 1:
        sys.exit("without a server it must end with one line: " + refused.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
