# SPDX-License-Identifier: BSL-1.0
"""What bench.hpp is for C++: how contenders in Python measure themselves.

    row = bench.Row("task", "await", "asyncio", 300_000)
    while row.again():
        ...  # 300'000 units

Allocations are not counted: to CPython nearly everything is one.
"""
import os
import sys
import time


def check(right, what):
    """A contender that computes the wrong answer is not measured."""
    if not right:
        sys.stderr.write(f"wrong answer: {what}\n")
        os.abort()


def skip(why):
    """Ends the program as skipped: the runner says so and goes on."""
    sys.stderr.write(f"skipped: {why}\n")
    sys.exit(77)


def wanted(name):
    return os.environ.get("BENCH_ROW", name) == name


def value(question, name, contender, per_unit, units, unit):
    print(question, name, contender, f"{per_unit:.2f}", 0, units, unit, flush=True)


class Row:
    def __init__(self, question, name, contender, units, clock=time.perf_counter_ns, warm_ups=1,
                 samples=3):
        self.question, self.name, self.contender = question, name, contender
        self.units, self.clock, self.warm_ups = units, clock, warm_ups
        self.samples = samples
        self.taken = -warm_ups
        self.fastest = None
        self.started = None

    def again(self):
        stopped = self.clock()
        if not wanted(self.name):
            return False
        if self.taken > 0:
            self.fastest = min(self.fastest or stopped, stopped - self.started)
        if self.taken == self.samples:
            value(self.question, self.name, self.contender, self.fastest / self.units, self.units,
                  "ns")
            return False
        self.taken += 1
        self.begin()
        return True

    def begin(self):
        """What this sample did until here was its preparation, and does not count."""
        self.started = self.clock()
