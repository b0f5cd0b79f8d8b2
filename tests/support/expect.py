#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Runs one command and compares what happens with what comment lines of a source file announce.

expect.py compile SOURCE -- COMPILER...   must fail and say all "// expect: words"; with
                                          -DRONDO_CONTROL it must succeed, so that it cannot fail
                                          for another reason
expect.py abort SOURCE -- PROGRAM...      must be killed by a signal and say all "// expect: words"
expect.py smoke SOURCE -- PROGRAM         must succeed and print every "// prints: regex".
    "// smoke: ..." holds the arguments, in which {source} is the source file, {dir} a temporary
    directory and {http} the URL of an HTTP server that serves the source's folder, and at /json/NAME the
    object {"name": "NAME"}. If it mentions
    {program}, it is a whole command line for sh instead. It runs in the folder above the source's.
"// skip: gcc", "// skip: clang" in a compile test name compilers that cannot show the sentence.
"""
import http.server
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading


def directives(source, name):
    with open(source, encoding="utf-8") as file:
        return re.findall(rf"^\s*// {name}:[ ]*(.*?)[ ]*$", file.read(), re.MULTILINE)


def fail(sentence, output=""):
    sys.exit(f"{output}\n{sentence}")


def squeeze(text):
    return " ".join(text.split())


def require_words(source, output):
    expected = directives(source, "expect")
    if not expected:
        fail(f"{source} has no line '// expect: words'")
    for words in expected:
        if squeeze(words) not in squeeze(output):
            fail(f"expected these words: {words}", output)


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", stdin=subprocess.DEVNULL, **options)


def check_compile(source, compiler):
    version = run([compiler[0], "--version"]).stdout.lower()
    this = "clang" if "clang" in version else "gcc"
    if this in directives(source, "skip"):
        print(f"skipped: {this} does not show this sentence")
        return
    with open(source, encoding="utf-8") as file:
        if "RONDO_CONTROL" not in file.read():
            fail(f"{source} has no part for RONDO_CONTROL, the same code spelt right")
    environment = dict(os.environ, LC_ALL="C")
    wrong = run([*compiler, source], env=environment)
    if wrong.returncode == 0:
        fail("this compiles, and must not", wrong.stdout)
    require_words(source, wrong.stdout)
    right = run([*compiler, "-DRONDO_CONTROL", source], env=environment)
    if right.returncode != 0:
        fail("with RONDO_CONTROL this must compile, and does not", right.stdout)


def check_abort(source, command):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = run(command)
    if done.returncode == 0 and done.stdout.startswith("skipped:"):
        print(done.stdout)
        return
    if done.returncode >= 0:
        fail(f"must be ended by a signal, and returned {done.returncode}", done.stdout)
    require_words(source, done.stdout)
    print(done.stdout)


class quiet_handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if not self.path.startswith("/json/"):
            return super().do_GET()
        body = json.dumps({"name": self.path[len("/json/"):]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def check_smoke(source, command):
    line = (directives(source, "smoke") or [""])[0]
    folder = os.path.dirname(os.path.abspath(source))
    with tempfile.TemporaryDirectory() as directory:
        values = {"{program}": command[0], "{source}": source, "{dir}": directory}
        if "{http}" in line:
            server = http.server.ThreadingHTTPServer(
                ("127.0.0.1", 0), lambda *a: quiet_handler(*a, directory=folder))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            values["{http}"] = f"http://127.0.0.1:{server.server_port}"
        whole = "{program}" in line
        for key, value in values.items():
            line = line.replace(key, value)
        done = run(["sh", "-c", line if whole else f"'{command[0]}' {line}"], cwd=os.path.dirname(folder))
    print(done.stdout)
    if done.returncode != 0:
        fail(f"ended with status {done.returncode}")
    for pattern in directives(source, "prints"):
        if not re.search(pattern, done.stdout, re.MULTILINE):
            fail(f"did not print: {pattern}")


if __name__ == "__main__":
    if len(sys.argv) < 5 or sys.argv[3] != "--":
        sys.exit(__doc__)
    {"compile": check_compile, "abort": check_abort, "smoke": check_smoke}[sys.argv[1]](
        sys.argv[2], sys.argv[4:])
