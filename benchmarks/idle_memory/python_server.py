# SPDX-License-Identifier: BSL-1.0
"""The server in Python, on connections that are there: python_server.py ROW FD,... FD,..."""
import asyncio
import os
import pathlib
import socket
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import bench  # noqa: E402


class State:
    left = 0
    answered = None
    for_all = memoryview(bytearray(16 * 1024))


class Shared(asyncio.BufferedProtocol):
    space = State.for_all

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, hint):
        return self.space

    def buffer_updated(self, size):
        self.transport.write(bytes(self.space[:size]))
        State.left -= 1
        if State.left == 0:
            State.answered.set_result(None)


class OwnBuffer(Shared):
    def __init__(self):
        self.space = memoryview(bytearray(1024))


def resident_set():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


async def serve(protocol, fds):
    loop = asyncio.get_running_loop()
    State.left, State.answered = len(fds), loop.create_future()
    for fd in fds:
        await loop.connect_accepted_socket(protocol, socket.socket(fileno=fd))
    await State.answered


async def ask(row, warm, every):
    protocol = Shared if row == "shared" else OwnBuffer
    await serve(protocol, warm)
    before = resident_set()
    await serve(protocol, every)
    bench.value("idle_memory", row, "asyncio", (resident_set() - before) / len(every), len(every),
                "B")


row, *groups = sys.argv[1:]
asyncio.run(ask(row, *[[int(fd) for fd in group.split(",")[:-1]] for group in groups]))
