#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""Medians and ratios of what run.sh collected.

Input lines: round question row contender value_per_unit allocations_per_unit units_per_sample,
and what the value is in if that is not ns.
A ratio divides two values of the same round; what is printed is the median of the rounds' ratios,
with the smallest and the largest. Less is better in every row.
"""

import argparse
import json
import pathlib
import statistics
import sys

# The hand-written contender that a row is compared with: the first of these that ran it.
LIMITS = ("raw", "hand_slots", "hand_pool", "hand", "libpq", "curl")
# Those that have another one, if that ran the row.
OWN_LIMITS = {"rondo_epoll": ("epoll", "preads")}
OURS = ("rondo", "rondo_epoll")
HERE = pathlib.Path(__file__).parent


def is_peer(question, contender):
    return any((HERE / question / "peers").glob(contender + ".*"))


class Row:
    """One row of a question: contender -> round -> (value, allocations)."""

    def __init__(self, key):
        self.question, self.name = key
        self.contenders = {}
        self.unit = "ns"

    def limit(self, contender=None):
        own = OWN_LIMITS.get(contender, ())
        return next((name for name in own + LIMITS if name in self.contenders), None)

    def peers(self):
        return [name for name in self.contenders if is_peer(self.question, name)]

    def values(self, contender):
        return [value for value, _ in self.contenders[contender].values()]

    def median(self, contender):
        return statistics.median(self.values(contender))

    def ratios(self, contender, other):
        """Of the rounds that both ran: the median, the smallest, the largest; None without any."""
        others = self.contenders.get(other, {})
        ratios = [value / others[number][0]
                  for number, (value, _) in self.contenders.get(contender, {}).items()
                  if number in others and others[number][0] > 0]
        return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None

    def numbers(self):
        return sorted(set().union(*self.contenders.values()))

    def best_peer(self):
        return min(self.peers(), key=self.median, default=None)


def read(path):
    rows = {}
    with open(path) as lines:
        for line in lines:
            number, question, name, contender, value, allocations, _, *unit = line.split()
            row = rows.setdefault((question, name), Row((question, name)))
            rounds = row.contenders.setdefault(contender, {})
            rounds[int(number)] = float(value), float(allocations)
            row.unit = unit[0] if unit else row.unit
    return list(rows.values())


def print_row(row):
    limit = row.limit()
    for contender, rounds in sorted(row.contenders.items(), key=lambda item: (
            item[0] != limit, is_peer(row.question, item[0]))):
        values = row.values(contender)
        allocations = statistics.median(count for _, count in rounds.values())
        text = (f"{row.question:<11} {row.name:<21} {contender:<13} {row.median(contender):>11.2f}"
                f" {row.unit:<3} {f'{min(values):.2f}-{max(values):.2f}':>21} {allocations:>7.2f}")
        own = row.limit(contender)
        if contender == limit:
            text += "   1 (the limit)"
        elif ratios := row.ratios(contender, own):
            text += "   {:.2f} ({:.2f}-{:.2f})".format(*ratios)
            text += f" of {own}" if own != limit else ""
        print(text + (", a peer" if is_peer(row.question, contender) else ""))


def print_peers(rows):
    print("\nBeside the peers:")
    print(f"{'question':<11} {'row':<21} {'rondo':>11}     {'times the limit':>15}"
          f"   {'best peer':<13} {'times rondo':>11}   all peers, times rondo")
    for row in rows:
        if "rondo" not in row.contenders or not row.peers():
            continue
        best = row.best_peer()
        to_limit = row.ratios("rondo", row.limit())
        text = (f"{row.question:<11} {row.name:<21} {row.median('rondo'):>11.2f} {row.unit:<3}"
                f" {'{:.2f}'.format(to_limit[0]) if to_limit else '-':>15}   {best:<13}")
        times = {name: row.ratios(name, "rondo") for name in sorted(row.peers(), key=row.median)}
        text += f" {times[best][0]:>11.2f}" if times[best] else f" {'-':>11}"
        text += "   " + ", ".join(f"{name} {times[name][0]:.2f}" for name in times if times[name])
        print(text)


def as_json(rows):
    def of(row, contender):
        numbers = row.ratios(contender, row.limit(contender)), row.ratios(contender, "rondo")
        to_limit, to_rondo = [ratios[0] if ratios else None for ratios in numbers]
        return {"median": row.median(contender),
                "rounds": [row.contenders[contender].get(number, (None,))[0]
                           for number in row.numbers()],
                "allocations": statistics.median(
                    count for _, count in row.contenders[contender].values()),
                "limit": row.limit(contender), "times_limit": to_limit, "times_rondo": to_rondo,
                "peer": is_peer(row.question, contender)}
    return [{"question": row.question, "row": row.name, "unit": row.unit,
             "best_peer": row.best_peer(),
             "contenders": {contender: of(row, contender) for contender in row.contenders}}
            for row in rows]


def from_json(all_of):
    """The rows that as_json was given."""
    rows = []
    for of in all_of:
        row = Row((of["question"], of["row"]))
        row.unit = of["unit"]
        for contender, one in of["contenders"].items():
            row.contenders[contender] = {
                number: (float(value), float(one["allocations"]))
                for number, value in enumerate(one["rounds"], 1) if value is not None}
            if not row.contenders[contender]:
                raise ValueError(f"{contender} has no round")
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lines")
    parser.add_argument("--gate", type=float)
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    rows = read(options.lines)

    print(f"{'question':<11} {'row':<21} {'contender':<13} {'a unit':>11}     {'spread':>21}"
          f" {'allocs':>7}   times the limit (spread)")
    behind = []
    compared = 0
    for row in rows:
        print_row(row)
        for contender in OURS:
            ratios = row.ratios(contender, row.limit(contender))
            if not ratios:
                continue
            compared += 1
            if ratios[0] > (options.gate or 1.15):
                behind.append(f"{row.question} {row.name}, {contender}: {ratios[0]:.2f}")
    if any(row.peers() for row in rows):
        print_peers(rows)

    if options.json:
        json.dump(as_json(rows), options.json, indent=1)
    if behind:
        print(f"\nWhere rondo is over {options.gate or 1.15} times the limit:")
        for line in behind:
            print("  " + line)
    if options.gate and not compared:
        sys.exit("report.py: nothing to gate, no row of rondo was compared with a limit")
    sys.exit(1 if options.gate and behind else 0)


if __name__ == "__main__":
    main()
