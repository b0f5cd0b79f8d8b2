# SPDX-License-Identifier: BSL-1.0
"""asyncio's streams, with HTTP by hand: as little of it as these answers need."""
import os
import pathlib
import sys

sys.path[0] = str(pathlib.Path(__file__).parents[2] / "support")  # not this folder: see its names
import asyncio  # noqa: E402
import time  # noqa: E402
import urllib.parse  # noqa: E402

import bench  # noqa: E402

CONNECTIONS = 50
REQUESTS = 2_000
ANSWER = b'{"answer":42}'


async def ask(reader, writer, request):
    for _ in range(REQUESTS // CONNECTIONS):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:-2])
        body = await reader.readexactly(int(fields[b"content-length"]))
        bench.check(lines[0].split(b" ")[1] == b"200" and body == ANSWER, "the answer")


async def measure(url):
    request = f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: */*\r\n\r\n".encode()
    streams = [await asyncio.open_connection(url.hostname, url.port) for _ in range(CONNECTIONS)]
    for name, clock in (("get", time.perf_counter_ns), ("get_cpu", time.thread_time_ns)):
        row = bench.Row("http_client", name, "asyncio", REQUESTS, clock)
        while row.again():
            await asyncio.gather(*(ask(reader, writer, request) for reader, writer in streams))
    for _, writer in streams:
        writer.close()


if "HTTP_URL" not in os.environ:
    bench.skip("needs a server: benchmarks/http_client/with_nginx.sh benchmarks/run.sh ...")
asyncio.run(measure(urllib.parse.urlsplit(os.environ["HTTP_URL"])))
