#!/usr/bin/python3
# SPDX-License-Identifier: BSL-1.0
"""Draws what run.sh --json wrote, one or more files of it:

    benchmarks/charts.py --into benchmarks/charts peers.json http.json

limit.svg           how far is rondo from the least code that could do the same?
echo.svg            what does an echo cost its server, with each contender?
echo_two_cores.svg  how long does it take, and how late is it, with the clients on another core?
coroutines.svg      what do coroutines and their tools cost, beside the peers?
where_we_lose.svg   where is rondo over 1.15 times the limit, and where is a peer ahead?

No background, and colours that can be read on white and on black. The same numbers, the same file.
"""
import argparse
import json
import pathlib
import sys

sys.dont_write_bytecode = True
import report  # noqa: E402

try:
    import matplotlib
    from matplotlib.figure import Figure
except ImportError:
    sys.exit("charts.py: needs matplotlib (python3-matplotlib)")

TOO_MUCH = 1.15
GREY, BLUE, ORANGE, PURPLE, TEAL = "#787d85", "#2477d6", "#c8690a", "#9a5fd6", "#1a8a7d"
WIDTH, LINE, TOP, BOTTOM, RIGHT = 9.0, 0.2, 0.6, 0.3, 0.6  # inches
matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "rondo", "font.size": 9, "ytick.major.size": 0,
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"], "text.color": GREY, "xtick.color": GREY,
    "ytick.color": GREY, "axes.edgecolor": GREY, "grid.color": GREY, "grid.alpha": 0.3,
    "axes.facecolor": "none", "figure.facecolor": "none", "axes.spines.left": False,
    "axes.spines.right": False, "axes.spines.top": False})


def read(path):
    try:
        rows = report.from_json(json.loads(pathlib.Path(path).read_text()))
    except OSError as error:
        sys.exit(f"charts.py: cannot read {path}: {error.strerror}")
    except (ValueError, KeyError, TypeError, AttributeError):
        sys.exit(f"charts.py: {path} is not what run.sh --json writes")
    return rows or sys.exit(f"charts.py: {path} has no rows")


def in_ns(row):
    """The row, of which `us` are made `ns`."""
    factor = {"ns": 1, "us": 1000}[row.unit]
    same = report.Row((row.question, row.name))
    same.contenders = {name: {number: (value * factor, count) for number, (value, count)
                              in rounds.items()} for name, rounds in row.contenders.items()}
    return same


def number(value):
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def time(ns, number=number):
    return f"{number(ns)} ns" if ns < 1000 else f"{number(ns / 1000)} us"


def canvas(lines, title, subtitle, left):
    """A figure with a line for each (group, name, ...), and where the lines are."""
    groups = [line[0] for line in lines]
    starts = [i for i, group in enumerate(groups) if i == 0 or group != groups[i - 1]]
    ys = [i + 0.5 * sum(start <= i for start in starts) for i in range(len(lines))]
    height = TOP + LINE * (ys[-1] + 0.5) + BOTTOM
    figure = Figure(figsize=(WIDTH, height))
    figure.text(0.1 / WIDTH, 1 - 0.1 / height, title, weight="bold", size=11, va="top")
    figure.text(0.1 / WIDTH, 1 - 0.32 / height, subtitle, va="top")
    axes = figure.add_axes((left / WIDTH, BOTTOM / height, 1 - (left + RIGHT) / WIDTH,
                            1 - (TOP + BOTTOM) / height))
    axes.set_ylim(ys[-1] + 0.5, 0)
    axes.set_yticks(ys, [line[1] for line in lines])
    for i in starts:
        axes.annotate(groups[i], (0.1 / WIDTH, ys[i]), xycoords=("figure fraction", "data"),
                      weight="bold", va="center", annotation_clip=False)
    return figure, axes, ys


def logarithmic(axes, low, high, text="{:g}".format):
    ticks = [tick for decade in range(-9, 15) for step in ((1, 2, 5) if high < 1000 * low else (1,))
             if low <= (tick := step * 10.0 ** decade) <= high]
    axes.set(xscale="log", xlim=(low, high))
    axes.set_xticks([], minor=True)
    axes.set_xticks(ticks, [text(tick) for tick in ticks])
    axes.grid(axis="x", linewidth=0.5)


def key(figure, axes, *styles):
    signs = [axes.plot([], [], color=color, marker=marker, linestyle="", label=name)[0]
             for name, color, marker in styles]
    figure.legend(handles=signs, ncol=len(signs), loc="upper right", frameon=False,
                  labelcolor="linecolor")


def ratios(lines, title, subtitle, left):
    """A dot and its spread for each line: group, name, colour, (median, least, most)."""
    figure, axes, ys = canvas(lines, title, subtitle, left)
    logarithmic(axes, min(0.9, *(ratio[1] for *_, ratio in lines)) / 1.5,
                max(2, *(ratio[2] for *_, ratio in lines)))
    axes.axvline(1, color=GREY, linewidth=1.2)
    axes.axvline(TOO_MUCH, color=GREY, linewidth=0.8, linestyle=(0, (2, 3)))
    for y, (_, _, color, (median, least, most)) in zip(ys, lines):
        axes.plot([1, median], [y, y], color=GREY, linewidth=0.5)
        axes.plot([least, most], [y, y], color=color, linewidth=2.5, alpha=0.6)
        axes.plot([median], [y], color=color, marker="o", markersize=5, clip_on=False)
        at, shift, align = (least, -7, "right") if median < 1 else (most, 7, "left")
        axes.annotate(number(median), (at, y), (shift, 0), ha=align, va="center",
                      textcoords="offset points", color=color)
    return figure


def to_limit(rows):
    for row in rows:
        for name in report.OURS:
            if ratio := row.ratios(name, row.limit(name)):
                yield row, row.name + (" on epoll" if name == "rondo_epoll" else ""), ratio


def limit(rows):
    lines = [(row.question, name, BLUE, ratio) for row, name, ratio in to_limit(rows)]
    return lines and ratios(
        lines, "How many times the least code by hand does rondo cost?", "Median of the rounds and "
        "their spread. 1 is the limit, the dotted line 1.15. Less is better.", 2.8)


def where_we_lose(rows):
    over = [("beside the limit", f"{row.question} {name}", BLUE, ratio)
            for row, name, ratio in to_limit(rows) if ratio[0] > TOO_MUCH]
    behind = [(f"beside {peer}", f"{row.question} {row.name}", ORANGE, ratio)
              for row in rows for peer in row.peers()
              if (ratio := row.ratios("rondo", peer)) and ratio[0] > 1]
    lines = sorted(over + behind, key=lambda line: (line[2] == ORANGE, line[0], -line[3][0]))
    return lines and ratios(
        lines, "Where we lose", "How many times the limit does rondo cost, where it is over 1.15; "
        "how many times a peer, where that is ahead.", 3.9)


def bars(rows, title, subtitle):
    """A bar for each contender of each row, all in nanoseconds. A spread that goes far is cut off."""
    lines = [(row.name, name, row.median(name), row.values(name)) for row in rows
             for name in sorted(row.contenders, key=row.median)]
    if not lines:
        return None
    figure, axes, ys = canvas(lines, title, subtitle, 2.4)
    most = 1.5 * max(median for _, _, median, _ in lines)
    for y, (_, name, median, values) in zip(ys, lines):
        color = BLUE if name in report.OURS else ORANGE if report.is_peer("echo", name) else GREY
        axes.barh(y, median, 0.7, color=color, alpha=0.6)
        end = min(max(values), most)
        axes.plot([min(values), end], [y, y], color=color, linewidth=2.5)
        axes.annotate(time(median), (end, y), (5, 0), va="center", textcoords="offset points",
                      color=color)
    axes.set(xlim=(0, max(min(max(values), most) for *_, values in lines)), xticks=[])
    axes.spines.bottom.set_visible(False)
    key(figure, axes, ("by hand", GREY, "s"), ("rondo", BLUE, "s"), ("peers", ORANGE, "s"))
    return figure


def echo(rows):
    return bars([row for row in rows if row.question == "echo" and "connections" in row.name],
                "What does an echo cost its server?", "Processor time of its thread for 64 bytes "
                "received and sent: median of the rounds and their spread. Less is better.")


def echo_two_cores(rows):
    return bars([in_ns(row) for row in rows if row.question == "echo"
                 and (row.name.startswith("two_cores") or row.name.endswith("_p99"))],
                "And with the clients on another core?", "Time of an echo when they ask as fast as "
                "they are answered; paced: how late 99 % of the answers are at most.")


def coroutines(rows):
    rows = [row for row in rows if row.question in ("task", "when_all", "sync", "channel")
            and "rondo" in row.contenders and row.peers()]
    if not rows:
        return None
    figure, axes, ys = canvas(
        [(row.question, row.name) for row in rows], "What do coroutines and their tools cost?",
        "Median time of a unit, on a logarithmic scale. Less is better.", 2.4)
    styles = (("by hand", GREY, "|"), ("rondo", BLUE, "o"), ("asio", ORANGE, "s"),
              ("go", TEAL, "v"), ("asyncio", PURPLE, "^"))
    ends = []
    for y, row in zip(ys, rows):
        names = [row.limit(), *(name for name, _, _ in styles[1:])]
        points = [(row.median(name), color, marker) for name, (_, color, marker)
                  in zip(names, styles) if name in row.contenders]
        ends += [min(points)[0], max(points)[0]]
        axes.plot(ends[-2:], [y, y], color=GREY, linewidth=0.5)
        for ns, color, marker in points:
            axes.plot([ns], [y], color=color, marker=marker, markeredgewidth=1.5)
    logarithmic(axes, min(ends) / 1.5, max(ends) * 1.5, lambda ns: time(ns, "{:g}".format))
    key(figure, axes, *styles)
    return figure


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+")
    parser.add_argument("--into", required=True, type=pathlib.Path, help="the folder of the charts")
    options = parser.parse_args()
    rows = [row for file in options.files for row in read(file)]
    names = [f"{row.question} {row.name}" for row in rows]
    if twice := next((name for name in names if names.count(name) > 1), None):
        sys.exit(f"charts.py: {twice} is in these files twice")
    options.into.mkdir(parents=True, exist_ok=True)
    for chart in (limit, echo, echo_two_cores, coroutines, where_we_lose):
        file = options.into / f"{chart.__name__}.svg"
        if figure := chart(rows):
            figure.savefig(file, metadata={"Date": None, "Creator": None})
            print(f"drawn     {file}")
        else:
            print(f"not drawn {file}: there is no row for it")


if __name__ == "__main__":
    main()
