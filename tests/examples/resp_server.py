#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""resp_server.py PROGRAM Protocol|RedisTools: the example resp_server as its clients see it, the
second with redis-cli and redis-benchmark where they are installed."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else sys.exit(__doc__)


def command(*words):
    parts = [w if isinstance(w, bytes) else str(w).encode() for w in words]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


class Server:
    def setUp(self):
        self.server = subprocess.Popen(
            [PROGRAM, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.port = int(self.server.stdout.readline().rsplit(":", 1)[1])

    def tearDown(self):
        self.server.send_signal(signal.SIGINT)
        _, errors = self.server.communicate(timeout=30)
        self.assertEqual(errors, "")

    def ask(self, request, size):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s:
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            answer = b""
            while part := s.recv(65536):
                answer += part
        self.assertEqual(len(answer), size, answer[:200])
        return answer

    def expect(self, request, answer):
        self.assertEqual(self.ask(request, len(answer)), answer)


class Protocol(Server, unittest.TestCase):
    def test_each_command(self):
        self.expect(command("PING") + command("ping", "x") + command("ECHO", "a b"),
                    b"+PONG\r\n$1\r\nx\r\n$3\r\na b\r\n")
        self.expect(command("SET", "k", b"\0\r\n\xff") + command("GET", "k") + command("GET", "none"),
                    b"+OK\r\n$4\r\n\0\r\n\xff\r\n$-1\r\n")
        self.expect(command("INCR", "n") + command("INCR", "n") + command("GET", "n"),
                    b":1\r\n:2\r\n$1\r\n2\r\n")
        self.expect(command("EXISTS", "k", "n", "none") + command("DEL", "k", "none") +
                    command("EXISTS", "k"), b":2\r\n:1\r\n:0\r\n")

    def test_what_is_wrong_is_an_error_and_the_connection_goes_on(self):
        self.expect(command("INCR", "k", "l") + command("GET") + command("WHAT") + command("PING"),
                    b"-ERR wrong number of arguments for 'INCR'\r\n"
                    b"-ERR wrong number of arguments for 'GET'\r\n"
                    b"-ERR unknown command 'WHAT'\r\n+PONG\r\n")
        limit = str(2**63 - 1)
        for value in ("x", "", " 1", limit, "1" * 40):
            self.expect(command("SET", "n", value) + command("INCR", "n"),
                        b"+OK\r\n-ERR value is not an integer or out of range\r\n")

    def test_what_is_no_command_ends_the_connection(self):
        for request, word in ((b"*1\r\n:3\r\n", b"expected '$'"), (b"*x\r\n", b"length"),
                              (b"*1\r\n$-1\r\n", b"length"), (b"*1\r\n$99999999999\r\n", b"length"),
                              (b"*1\r\n$4\r\nPINGxx", b"line end"), (b"x" * 70000, b"too big")):
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s:
                s.sendall(request)
                answer = b""
                while part := s.recv(65536):
                    answer += part
            self.assertRegex(answer, b"^-ERR Protocol error: .*" + word.replace(b"$", b"\\$"))

    def test_typed_by_hand(self):
        self.expect(b"PING\r\n\r\n  set  a   b \r\nget a\r\n*0\r\n", b"+PONG\r\n+OK\r\n$1\r\nb\r\n")

    def test_byte_by_byte_and_ten_thousand_at_once(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in command("SET", "key", "value") + command("GET", "key"):
                s.sendall(bytes([byte]))
            answer = b""
            while len(answer) < 16:
                answer += s.recv(100)
            self.assertEqual(answer, b"+OK\r\n$5\r\nvalue\r\n")
        self.expect(command("INCR", "many") * 10_000,
                    b"".join(b":%d\r\n" % (i + 1) for i in range(10_000)))

    def test_a_large_value(self):
        value = os.urandom(20_000_000)
        self.expect(command("SET", "large", value) + command("GET", "large"),
                    b"+OK\r\n$20000000\r\n" + value + b"\r\n")


TOOLS = ("redis-cli", "redis-benchmark")


@unittest.skipUnless(all(map(shutil.which, TOOLS)), "needs redis-tools")
class RedisTools(Server, unittest.TestCase):
    def test_redis_cli_and_redis_benchmark(self):
        at = ["-h", "127.0.0.1", "-p", str(self.port)]
        said = subprocess.run(["redis-cli", *at], input="set a 1\nincr a\nget a\nnope\n", text=True,
                              capture_output=True, timeout=60, check=True).stdout
        self.assertEqual(said.split("\n")[:3], ["OK", "2", "2"])
        self.assertIn("unknown command", said)
        for pipeline in ("1", "16"):
            done = subprocess.run(["redis-benchmark", *at, "-t", "ping,get,set,incr", "-n", "10000",
                                   "-q", "-P", pipeline], text=True, capture_output=True, timeout=120,
                                  check=True)
            self.assertEqual(done.stdout.count("requests per second"), 5, done.stdout)


if __name__ == "__main__":
    unittest.main()
