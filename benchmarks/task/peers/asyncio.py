# SPDX-License-Identifier: BSL-1.0
"""The question of ../question.hpp in Python, fewer units of it."""
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).parents[2] / "support")  # not this folder: see its names
import asyncio  # noqa: E402
import bench  # noqa: E402

AWAITS, FIB_OF, FIB_IS, FIB_CALLS, DEPTH, CHAINS = 100_000, 20, 6_765, 21_891, 500, 100
YIELDS = SPAWNS = 20_000


async def child(n):
    return n


async def fib(n):
    if n < 2:
        return n
    return await fib(n - 1) + await fib(n - 2)


async def level(n):
    return 1 if n == 1 else await level(n - 1) + 1


async def ask():
    row = bench.Row("task", "await", "asyncio", AWAITS)
    while row.again():
        total = 0
        for i in range(AWAITS):
            total += await child(i)
        bench.check(total == sum(range(AWAITS)), "await")

    row = bench.Row("task", "fib", "asyncio", FIB_CALLS)
    while row.again():
        bench.check(await fib(FIB_OF) == FIB_IS, "fib")

    row = bench.Row("task", "deep", "asyncio", DEPTH * CHAINS)
    while row.again():
        for _ in range(CHAINS):
            bench.check(await level(DEPTH) == DEPTH, "deep")

    row = bench.Row("task", "yield", "asyncio", YIELDS)
    while row.again():
        hops = 0
        for _ in range(YIELDS):
            await asyncio.sleep(0)
            hops += 1
        bench.check(hops == YIELDS, "yield")

    row = bench.Row("task", "spawn_join", "asyncio", SPAWNS)
    while row.again():
        total = 0
        for i in range(SPAWNS):
            total += await asyncio.create_task(child(i))
        bench.check(total == sum(range(SPAWNS)), "spawn_join")


asyncio.run(ask())
