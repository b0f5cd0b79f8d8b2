# SPDX-License-Identifier: BSL-1.0
"""asyncio's Lock, Semaphore and Event: the question of ../question.hpp, fewer units of it."""
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).parents[2] / "support")  # not this folder: see its names
import asyncio  # noqa: E402
import bench  # noqa: E402

LOCKS, TURNS = 100_000, 10_000


class State:
    inside = 0
    count = 0


async def lock_in_turns(lock, state):
    for _ in range(TURNS):
        async with lock:
            state.inside += 1
            bench.check(state.inside == 1, "one at a time")
            await asyncio.sleep(0)  # the other one comes to wait for it now
            state.inside -= 1
            state.count += 1


async def wake_in_turns(mine, other, state):
    for _ in range(TURNS):
        await mine.wait()
        mine.clear()
        state.count += 1
        other.set()


async def ask():
    for name, resource in ("mutex", asyncio.Lock()), ("semaphore", asyncio.Semaphore(10)):
        row = bench.Row("sync", name, "asyncio", LOCKS)
        while row.again():
            acquired = 0
            for _ in range(LOCKS):
                async with resource:
                    acquired += 1
            bench.check(acquired == LOCKS, name)

    row = bench.Row("sync", "mutex_turns", "asyncio", 2 * TURNS)
    while row.again():
        lock, state = asyncio.Lock(), State()
        await asyncio.gather(lock_in_turns(lock, state), lock_in_turns(lock, state))
        bench.check(state.count == 2 * TURNS, "mutex_turns")

    row = bench.Row("sync", "event", "asyncio", 2 * TURNS)
    while row.again():
        a, b, state = asyncio.Event(), asyncio.Event(), State()
        a.set()
        await asyncio.gather(wake_in_turns(a, b, state), wake_in_turns(b, a, state))
        bench.check(state.count == 2 * TURNS, "event")


asyncio.run(ask())
