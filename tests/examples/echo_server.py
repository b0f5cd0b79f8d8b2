#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The example echo_server under a thousand connections at once, and its end by Ctrl-C.

echo_server.py PROGRAM
"""
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading

CONNECTIONS = 1000
SECONDS = 30  # a hang is a failure


def start(program, *arguments):
    """Starts it as a shell starts a program in the foreground: with SIGINT at its default."""
    return subprocess.Popen(
        [program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def address_of(server):
    line = server.stdout.readline()
    found = re.fullmatch(r"listening on (127\.0\.0\.1):(\d+)\n", line)
    assert found, f"it said {line!r}: {server.stderr.read() if not line else ''}"
    wait_until(lambda: catches_interrupts(server), "the server's loop runs")
    return found[1], int(found[2])


def open_descriptors(server):
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def receive(connection, size):
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        assert part, f"the connection ended after {len(data)} of {size} bytes"
        data += part
    return data


def catches_interrupts(server):
    """From then on there is a loop; the address is printed a moment before."""
    with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", status.read(), re.MULTILINE)
    return int(caught[1], 16) >> (signal.SIGINT - 1) & 1 == 1


def end_by_interrupt(server):
    server.send_signal(signal.SIGINT)
    out, err = server.communicate(timeout=SECONDS)
    assert server.returncode == 130, f"status {server.returncode}: {err}"
    return out + err


def wait_until(condition, what):
    """For what follows soon after something that was waited for: the server is another process."""
    timer = threading.Event()
    for _ in range(SECONDS * 100):
        if condition():
            return
        timer.wait(0.01)
    raise AssertionError(f"never came true: {what}")


def test_many_connections(program):
    server = start(program, "0")
    try:
        address = address_of(server)
        before = open_descriptors(server)
        connections = [socket.create_connection(address, SECONDS) for _ in range(CONNECTIONS)]
        wait_until(lambda: open_descriptors(server) == before + CONNECTIONS,
                   "every connection is a descriptor of the server")
        for number, connection in enumerate(connections):
            connection.sendall(b"%d " % number * (number % 50 + 1))
        for number, connection in enumerate(connections):
            message = b"%d " % number * (number % 50 + 1)
            assert receive(connection, len(message)) == message
        # A third ends, a third is reset, a third is closed with what it has not read.
        for number, connection in enumerate(connections):
            if number % 3 == 0:
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(1) == b"", "the server closes when its peer has ended"
            elif number % 3 == 1:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            else:
                connection.sendall(b"not to be read")
            connection.close()
        wait_until(lambda: open_descriptors(server) == before,
                   "no descriptor is left when the connections have ended")
        with socket.create_connection(address, SECONDS) as last:
            last.sendall(b"still there?")
            assert receive(last, 12) == b"still there?"
        text = end_by_interrupt(server)
        for line in text.splitlines():
            assert line.startswith("rondo: unhandled error in task serve: recv: "), text
    finally:
        server.kill()


def test_interrupt_with_connections(program):
    """Ctrl-C closes the connections that are open, in an orderly way."""
    server = start(program, "0")
    try:
        address = address_of(server)
        connections = [socket.create_connection(address, SECONDS) for _ in range(100)]
        for connection in connections:
            connection.sendall(b"x")
            assert receive(connection, 1) == b"x"
        text = end_by_interrupt(server)
        assert text == "", text
        for connection in connections:
            assert connection.recv(1) == b"", "the peers read the end and no error"
    finally:
        server.kill()


def test_interrupt_without_connections(program):
    server = start(program, "0")
    try:
        address_of(server)
        text = end_by_interrupt(server)
        assert text == "", text
    finally:
        server.kill()


def test_port_in_use(program):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = start(program, str(port))
        _, err = server.communicate(timeout=SECONDS)
        assert server.returncode != 0
        assert f"127.0.0.1:{port}" in err, err


def main():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = CONNECTIONS + 200
    if limit != resource.RLIM_INFINITY and limit < needed:
        print(f"skipped: needs {needed} open files")
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    program = os.path.abspath(sys.argv[1])
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            print(name, flush=True)
            test(program)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main()
