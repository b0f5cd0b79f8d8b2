# SPDX-License-Identifier: BSL-1.0
"""The clients with aiohttp: one session of 50 connections, without what these answers do not need:
cookies, time limits and decompression.
"""
import asyncio
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import bench  # noqa: E402

try:
    import aiohttp
    import yarl  # aiohttp's addresses
except ImportError:
    bench.skip("needs aiohttp (python3-aiohttp)")

CONNECTIONS = 50
REQUESTS = 2_000
ANSWER = b'{"answer":42}'


async def ask(session, url):
    for _ in range(REQUESTS // CONNECTIONS):
        async with session.get(url) as answer:
            body = await answer.read()
        bench.check(answer.status == 200 and body == ANSWER, "the answer")


async def measure(contender, url):
    async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS), cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None), auto_decompress=False) as session:
        for name, clock in (("get", time.perf_counter_ns), ("get_cpu", time.thread_time_ns)):
            row = bench.Row("http_client", name, contender, REQUESTS, clock)
            while row.again():
                await asyncio.gather(*(ask(session, url) for _ in range(CONNECTIONS)))


def run(contender):
    if contender == "aiohttp_uvloop":
        try:
            import uvloop
        except ImportError:
            bench.skip("needs uvloop (python3-uvloop)")
        uvloop.install()
    if "HTTP_URL" not in os.environ:
        bench.skip("needs a server: benchmarks/http_client/with_nginx.sh benchmarks/run.sh ...")
    asyncio.run(measure(contender, yarl.URL(os.environ["HTTP_URL"])))
