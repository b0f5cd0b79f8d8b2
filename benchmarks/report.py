#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Medians and ratios of what run.sh collected.

Input lines: round question row contender ns_per_unit allocations_per_unit units_per_sample.
A ratio divides two times of the same round; what is printed is the median of the rounds' ratios,
with the smallest and the largest.
"""

import argparse
import collections
import statistics
import sys

# The hand-written contender that a row is compared with: the first of these that ran it.
LIMITS = ("raw", "hand_slots", "hand_pool", "hand", "libpq")
OWN_LIMITS = {"rondo_epoll": ("epoll", "preads")}  # those that have another one, if that ran the row
OURS = ("rondo", "rondo_epoll")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lines")
    parser.add_argument("--gate", type=float)
    options = parser.parse_args()

    rows = collections.defaultdict(dict)  # (question, row) -> contender -> round -> (ns, allocations)
    with open(options.lines) as lines:
        for line in lines:
            number, question, row, contender, ns, allocations, _ = line.split()
            rounds = rows[question, row].setdefault(contender, {})
            rounds[int(number)] = float(ns), float(allocations)

    print(f"{'question':<10} {'row':<13} {'contender':<12} {'ns':>9} {'spread':>17} {'allocs':>7}"
          f"   times the limit (spread)")
    behind = []
    compared = 0
    for (question, row), contenders in rows.items():
        limit = next((name for name in LIMITS if name in contenders), None)
        for contender, rounds in sorted(contenders.items(), key=lambda item: item[0] != limit):
            times = [ns for ns, _ in rounds.values()]
            allocations = statistics.median(count for _, count in rounds.values())
            text = (f"{question:<10} {row:<13} {contender:<12} {statistics.median(times):>9.2f}"
                    f" {f'{min(times):.2f}-{max(times):.2f}':>17} {allocations:>7.2f}")
            if contender == limit:
                text += "   1 (the limit)"
            elif limit:
                own = next((name for name in OWN_LIMITS.get(contender, ()) if name in contenders),
                           limit)
                ratios = [ns / contenders[own][number][0] for number, (ns, _) in rounds.items()
                          if number in contenders[own]]
                ratio = statistics.median(ratios)
                text += f"   {ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
                text += f" of {own}" if own != limit else ""
                if contender in OURS:
                    compared += 1
                    if ratio > (options.gate or 1.15):
                        behind.append(f"{question} {row}, {contender}: {ratio:.2f}")
            print(text)

    if behind:
        print(f"\nWhere rondo is over {options.gate or 1.15} times the limit:")
        for line in behind:
            print("  " + line)
    if options.gate and not compared:
        sys.exit(f"report.py: nothing to gate, no row of rondo was compared with a limit")
    sys.exit(1 if options.gate and behind else 0)


if __name__ == "__main__":
    main()
