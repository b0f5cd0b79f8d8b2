# SPDX-License-Identifier: BSL-1.0
"""asyncio.gather: the question of ../question.hpp in Python, fewer units of it."""
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).parents[2] / "support")  # not this folder: see its names
import asyncio  # noqa: E402
import bench  # noqa: E402


async def child(n):
    return n


async def ask():
    for count in (10, 1_000, 100_000):
        repeats = max(1, 10_000 // count)
        row = bench.Row("when_all", f"tasks_{count}", "asyncio", count * repeats)
        while row.again():
            for _ in range(repeats):
                results = await asyncio.gather(*[child(n) for n in range(count)])
                bench.check(sum(results) == sum(range(count)), "each child's result, once")


asyncio.run(ask())
