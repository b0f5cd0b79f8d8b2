# SPDX-License-Identifier: BSL-1.0
"""The echo servers in Python, on connections that are there:

    python_server.py CONTENDER ROW CLOCK SAMPLES FD,...

asyncio and uvloop run the same protocol, which lends a buffer of its own.
"""
import asyncio
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import bench  # noqa: E402

ECHOES = 20_000
BUFFER = 4096


class Counter:
    def __init__(self, row):
        self.row, self.left, self.ended = row, 0, asyncio.Event()

    def begin(self):
        self.left = ECHOES
        return self.row.again()

    def count(self):
        self.left -= 1
        if self.left == 0 and not self.begin():
            self.ended.set()


class Echo(asyncio.BufferedProtocol):
    def __init__(self, served):
        self.count = served.count
        self.space = memoryview(bytearray(BUFFER))

    def connection_made(self, transport):
        self.write = transport.write

    def get_buffer(self, hint):
        return self.space

    def buffer_updated(self, size):
        self.write(bytes(self.space[:size]))
        self.count()


async def serve(contender, name, clock, samples, peers):
    clock = {"wall": time.perf_counter_ns, "cpu": time.thread_time_ns}[clock]
    served = Counter(bench.Row("echo", name, contender, ECHOES, clock, samples=int(samples)))
    loop = asyncio.get_running_loop()
    for peer in peers:
        await loop.connect_accepted_socket(lambda: Echo(served), peer)
    if served.begin():
        await served.ended.wait()


contender, name, clock, samples, fds = sys.argv[1:]
if contender == "uvloop":
    try:
        import uvloop
    except ImportError:
        bench.skip("needs uvloop (python3-uvloop)")
    uvloop.install()
peers = [socket.socket(fileno=int(fd)) for fd in fds.split(",")[:-1]]
asyncio.run(serve(contender, name, clock, samples, peers))
