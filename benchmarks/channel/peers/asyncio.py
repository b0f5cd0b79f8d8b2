# SPDX-License-Identifier: BSL-1.0
"""asyncio.Queue: the question of ../question.hpp in Python, fewer messages.

There is no rendezvous: a queue of size 0 is one without a limit.
"""
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).parents[2] / "support")  # not this folder: see its names
import asyncio  # noqa: E402
import bench  # noqa: E402

MESSAGES = 20_000


async def produce(queue):
    for i in range(MESSAGES):
        await queue.put(i)


async def consume(queue):
    total = 0
    for _ in range(MESSAGES):
        total += await queue.get()
    return total


async def ask():
    for capacity in 1, 1024:
        row = bench.Row("channel", f"capacity_{capacity}", "asyncio", MESSAGES)
        while row.again():
            queue = asyncio.Queue(capacity)
            _, total = await asyncio.gather(produce(queue), consume(queue))
            bench.check(total == sum(range(MESSAGES)), "each message, once")


asyncio.run(ask())
