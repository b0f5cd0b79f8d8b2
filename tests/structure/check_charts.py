#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""benchmarks/charts.py on a few made-up rows: what it draws, and what it says to bad input.

check_charts.py ROOT
"""
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

root = pathlib.Path(sys.argv[1])
python = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable  # as run.sh
folder = tempfile.TemporaryDirectory()
scratch = pathlib.Path(folder.name)
NAMES = ("limit", "echo", "echo_two_cores", "coroutines", "where_we_lose")
# question, row, unit, and what each contender cost in each round (None: it did not run)
ROWS = [
    ("task", "await", "ns", {"hand_pool": (10, 10, 10), "rondo": (11, 10, 12), "asio": (20, 21, 20),
                             "asyncio": (100, 90, 100)}),
    ("nop", "depth_1", "ns", {"raw": (100, 100, None), "rondo": (None, 123, 999)}),
    ("file_read", "depth_32", "ns", {"raw": (100, 100, 100), "rondo": (115, 115, 115),
                                     "rondo_epoll": (450, 440, 460)}),
    ("echo", "connections_1", "ns", {"raw": (9000, 9000, 9000), "rondo": (8100, 8100, 8100),
                                     "asyncio": (15600, 15500, 15700)}),
    ("echo", "connections_50", "ns", {"raw": (3000, 3000, 3000), "rondo": (3000, 3100, 3000),
                                      "asio_io_uring": (2900, 2000, 2000)}),
    ("echo", "two_cores_50", "ns", {"raw": (4000, 4000, 4000), "rondo": (4200, 4400, 4400)}),
    ("echo", "paced_50_p50", "us", {"raw": (10, 10, 10), "rondo": (11, 11, 11)}),
    ("echo", "paced_50_p99", "us", {"raw": (20, 20, 20), "rondo": (21, 21, 21), "asio": (30, 25, 25)}),
    ("idle_memory", "shared", "B", {"raw": (700, 700, 700), "rondo": (770, 770, 770),
                                    "libuv": (350, 350, 350)}),
]


def report(rows, name):
    lines = [f"{number} {question} {row} {contender} {value} 0 1 {unit}\n"
             for question, row, unit, contenders in rows for contender, values in contenders.items()
             for number, value in enumerate(values, 1) if value is not None]
    (scratch / "lines").write_text("".join(lines))
    subprocess.run([sys.executable, root / "benchmarks/report.py", "--json", scratch / name,
                    scratch / "lines"], check=True, stdout=subprocess.DEVNULL)
    return scratch / name


def draw(into, *files, **environment):
    return subprocess.run([python, root / "benchmarks/charts.py", "--into", scratch / into, *files],
                          capture_output=True, text=True,
                          env={**os.environ, "MPLCONFIGDIR": str(scratch), **environment})


def lines(svg):
    """The texts of each line from left to right, a line a list, from the top to the bottom."""
    parsed = xml.etree.ElementTree.parse(svg)  # what is not well-formed throws
    found = []
    for text in parsed.iter("{http://www.w3.org/2000/svg}text"):
        y = next((known for known, _ in found if abs(known - float(text.get("y"))) < 4),
                 float(text.get("y")))
        found.append((y, (float(text.get("x")), text.text)))
    return [[text for _, text in sorted(at for other, at in found if other == y)]
            for y in sorted({y for y, _ in found})]


def luminance(color):
    parts = [int(color[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def refused(sentence, *files, **environment):
    done = draw("refused", *files, **environment)
    assert done.returncode == 1 and done.stderr == f"charts.py: {sentence}\n", done
    assert done.stdout == "" and not (scratch / "refused").exists(), done


numbers = report(ROWS, "numbers.json")

# Without matplotlib it says what to install.
(scratch / "without").mkdir()
(scratch / "without/matplotlib.py").write_text("raise ImportError\n")
refused("needs matplotlib (python3-matplotlib)", numbers, PYTHONPATH=str(scratch / "without"))
if subprocess.run([python, "-c", "import matplotlib.font_manager"], capture_output=True).returncode:
    print("skipped: needs matplotlib (python3-matplotlib)")
    sys.exit()

done = draw("charts", numbers)
assert done.returncode == 0 and done.stderr == "", done
assert [line.split()[0] for line in done.stdout.splitlines()] == ["drawn"] * len(NAMES), done.stdout
svgs = {name: scratch / f"charts/{name}.svg" for name in NAMES}

# Each row has a line, and on it the median of the ratios of the rounds that both ran.
drawn = {name: lines(svg)[2:] for name, svg in svgs.items()}  # below the titles
assert drawn["limit"] == [
    ["task", "await", "1.10"], ["nop", "depth_1", "1.23"], ["file_read", "depth_32", "1.15"],
    ["depth_32 on epoll", "4.50"], ["echo", "connections_1", "0.90"], ["connections_50", "1.00"],
    ["two_cores_50", "1.10"], ["paced_50_p50", "1.10"], ["paced_50_p99", "1.05"],
    ["idle_memory", "shared", "1.10"], ["1", "2"]], drawn["limit"]
assert drawn["echo"] == [
    ["connections_1", "rondo", "8.10 us"], ["raw", "9.00 us"], ["asyncio", "15.6 us"],
    ["connections_50", "asio_io_uring", "2.00 us"], ["raw", "3.00 us"], ["rondo", "3.00 us"]], drawn["echo"]
assert drawn["echo_two_cores"] == [
    ["two_cores_50", "raw", "4.00 us"], ["rondo", "4.40 us"],
    ["paced_50_p99", "raw", "20.0 us"], ["rondo", "21.0 us"], ["asio", "25.0 us"]], drawn["echo_two_cores"]
assert drawn["where_we_lose"] == [
    ["beside the limit", "file_read depth_32 on epoll", "4.50"], ["nop depth_1", "1.23"],
    ["beside asio_io_uring", "echo connections_50", "1.50"],
    ["beside libuv", "idle_memory shared", "2.20"], ["1", "2"]], drawn["where_we_lose"]
assert drawn["coroutines"] == [["task", "await"], ["10 ns", "20 ns", "50 ns", "100 ns"]], drawn["coroutines"]

# There a contender stands where its time is on a logarithmic scale: 10, 11, 20 and 100 ns.
points = re.findall(r'<g clip-path[^>]*>\s*<use [^>]*x="([\d.]+)" y=[^>]* style="fill',
                    svgs["coroutines"].read_text())
hand, rondo, asio, asyncio = map(float, points)
for x, times in ((rondo, 1.1), (asio, 2), (asyncio, 10)):
    assert abs((x - hand) / (asyncio - hand) - math.log10(times)) < 0.01, points

# On white and on black, all of it can be seen. What has no colour would be black.
for svg in svgs.values():
    text = re.sub("<defs>.*?</defs>", "", svg.read_text(), flags=re.DOTALL)
    shapes = re.findall(r"<(?:text|path|use|rect|line|circle)\b[^>]*>", text)
    blind = [shape for shape in shapes if not re.search('(?:fill|stroke): #|style="fill: none"/', shape)]
    assert len(shapes) > 10 and not blind, blind
    for color in set(re.findall("#[0-9a-f]{6}", text)):
        assert min(contrast(color, "#ffffff"), contrast(color, "#0d1117")) > 3.5, (svg, color)

# The same numbers are the same file, at another time and with other hashes; others are another.
draw("again", numbers, PYTHONHASHSEED="1", SOURCE_DATE_EPOCH="1")
one_more = [("task", "fib", "ns", {"hand_pool": (2,), "rondo": (3,), "asio": (4,)})]
draw("more", report(ROWS + one_more, "more.json"), PYTHONHASHSEED="2")
for name, svg in svgs.items():
    assert (scratch / f"again/{name}.svg").read_bytes() == svg.read_bytes(), name
    same = (scratch / f"more/{name}.svg").read_bytes() == svg.read_bytes()
    assert same == name.startswith("echo"), name

# Of several files, the rows of all; what there is no row for is left as it is.
done = draw("more", numbers, report(one_more, "fib.json"))
assert done.returncode == 0 and done.stderr == "", done
assert ["fib", "1.50"] in [line[-2:] for line in lines(scratch / "more/limit.svg")]
before = (scratch / "more/echo.svg").read_bytes()
done = draw("more", scratch / "fib.json")
assert done.returncode == 0 and f"not drawn {scratch}/more/echo.svg: there is no row for it\n" in done.stdout
assert (scratch / "more/echo.svg").read_bytes() == before

# What it cannot draw is named, and nothing is drawn.
refused(f"cannot read {scratch}/gone.json: No such file or directory", scratch / "gone.json")
refused("task await is in these files twice", numbers, numbers)
(row,) = json.loads((scratch / "fib.json").read_text())
(scratch / "none.json").write_text("[]")
refused(f"{scratch}/none.json has no rows", numbers, scratch / "none.json")
bad = ["", "no JSON", "3", "null", '{"rondo": 1}', "[1]", '[{"rondo": 1}]', "\udcff",
       json.dumps([{**row, "contenders": []}]), json.dumps([{**row, "contenders": {"rondo": 1}}]),
       json.dumps([row]).replace("[3.0]", "[null]"), json.dumps([row]).replace("3.0", '"x"'),
       json.dumps(row), (scratch / "lines").read_text()]
for i, text in enumerate(bad):
    (scratch / f"bad{i}").write_text(text, errors="surrogateescape")
TRY_ALL = """
import sys
sys.path.insert(0, sys.argv[1])
import charts
for path in sys.argv[2:]:
    try:
        print("read", charts.read(path))
    except SystemExit as said:
        print(said)
"""
files = [f"{scratch}/bad{i}" for i in range(len(bad))]
done = subprocess.run([python, "-B", "-c", TRY_ALL, root / "benchmarks", *files], capture_output=True, text=True)
assert done.stdout.splitlines() == [
    f"charts.py: {file} is not what run.sh --json writes" for file in files], done
