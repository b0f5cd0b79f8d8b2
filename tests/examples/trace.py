#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""trace.py PROGRAM [ARG...]

Runs a program with RONDO_TRACE, on both rings, and reads the timeline: it is JSON, each loop has a
name, no two resumptions of a loop overlap, and every wait ends when a resumption begins.
"""
import json
import os
import subprocess
import sys
import tempfile


def check(backend: str, path: str) -> None:
    environment = dict(os.environ, RONDO_TRACE=path, RONDO_BACKEND=backend)
    subprocess.run(sys.argv[1:], env=environment, check=True, stdout=subprocess.DEVNULL, timeout=60)
    with open(path) as file:
        events = json.load(file)

    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    assert names == {n: f"loop {n}" for n in range(1, len(names) + 1)} and names, names
    runs = [e for e in events if e["ph"] == "X"]
    assert runs and {e["tid"] for e in runs} <= names.keys(), events
    for loop in names:
        end = 0.0
        for run in (e for e in runs if e["tid"] == loop):
            assert run["ts"] >= end - 0.01 and run["dur"] >= 0, run
            end = run["ts"] + run["dur"]
    begins = {e["ts"] for e in runs}

    open_waits = {}
    waits = 0
    for event in events:
        if event["ph"] == "b":
            assert open_waits.setdefault(event["id"], event) is event, event
        elif event["ph"] == "e":
            begun = open_waits.pop(event["id"])
            assert begun["name"] == event["name"] and begun["ts"] <= event["ts"], event
            assert event["ts"] in begins, event
            waits += 1
    assert waits and not open_waits, open_waits


def main() -> None:
    backends = ["io_uring", "epoll"]
    with tempfile.TemporaryDirectory() as folder:
        for backend in backends:
            probe = dict(os.environ, RONDO_BACKEND=backend)
            if subprocess.run(sys.argv[1:], env=probe, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60).returncode != 0:
                assert backend == "io_uring", "the program fails without a trace as well"
                print("io_uring is refused here")
                continue
            check(backend, os.path.join(folder, backend + ".json"))


if __name__ == "__main__":
    main()
