# SPDX-License-Identifier: BSL-1.0
"""asyncio.sleep: the question of ../question.hpp in Python, 100,000 of them."""
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).parents[2] / "support")  # not this folder: see its names
import asyncio  # noqa: E402
import random  # noqa: E402
import time  # noqa: E402

import bench  # noqa: E402

SLEEPS = 100_000


async def ask():
    random.seed(1)
    lengths = [random.random() for _ in range(SLEEPS)]
    row = bench.Row("timers", "sleeps_100000", "asyncio", SLEEPS, time.thread_time_ns, samples=1)
    while row.again():
        results = await asyncio.gather(*[asyncio.sleep(length, 1) for length in lengths])
        bench.check(sum(results) == SLEEPS, "all wake")

    row = bench.Row("timers", "cancel_tasks", "asyncio", SLEEPS, time.thread_time_ns)
    while row.again():
        tasks = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(SLEEPS)]
        all_of_them = asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        row.begin()
        for task in tasks:
            task.cancel()
        results = await all_of_them
        bench.check(all(isinstance(result, asyncio.CancelledError) for result in results),
                    "all were canceled")


asyncio.run(ask())
