#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""web_app.py TEMPLATE PROGRAM: the example web_app as clients see it, with a database of its own.

Prints "skipped: ..." where PostgreSQL's server is not installed.
"""
import concurrent.futures
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

TEMPLATE, PROGRAM = sys.argv[1:3] if len(sys.argv) > 2 else sys.exit(__doc__)
del sys.argv[1:3]
HERE = pathlib.Path(__file__).resolve().parent
PSQL = next(pathlib.Path("/usr/lib/postgresql").glob("*/bin/psql"), None)
LIMIT = 64 * 1024  # of a body


class Database:
    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [sys.executable, HERE / "server.py", self.folder.name, TEMPLATE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = self.process.stdout.readline().strip()
        self.conninfo = f"host={self.folder.name} port={port} user=postgres dbname=postgres"

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n", command

    @contextlib.contextmanager
    def psql(self):
        """A function that executes statements on a connection, and gives their last line."""
        with subprocess.Popen([PSQL, "-qAtX", "-v", "ON_ERROR_STOP=1", self.conninfo], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            def execute(statements):
                process.stdin.write(statements + ";\n\\echo end\n")
                process.stdin.flush()
                lines = [*iter(process.stdout.readline, "end\n")]
                return lines[-1].strip() if lines else ""
            yield execute
            process.stdin.close()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()


class WebApp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.database = Database()
        cls.addClassCleanup(cls.database.close)

    def setUp(self):
        self.errors = ""  # a regular expression for what the program may print on stderr
        self.app = subprocess.Popen(
            [PROGRAM, self.database.conninfo, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        line = self.app.stdout.readline()
        self.assertRegex(line, r"^listening on 127\.0\.0\.1:\d+\n$")
        self.port = int(line.rsplit(":", 1)[1])
        self.client = self.connect()

    def tearDown(self):
        self.app.send_signal(signal.SIGINT)  # with a connection that is kept alive
        output, errors = self.app.communicate(timeout=30)
        self.client.close()
        self.assertEqual((self.app.returncode, output), (0, ""), errors)
        self.assertRegex(errors, rf"\A(?:{self.errors})\Z")

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def socket(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def ask(self, method, path, body=None, client=None):
        """Status and object of the answer."""
        client = client or self.client
        client.request(method, path, body if body is None or isinstance(body, (str, bytes))
                       else json.dumps(body))
        self.answer = client.getresponse()
        text = self.answer.read()
        if text:
            self.assertEqual(self.answer.getheader("content-type"), "application/json")
        return self.answer.status, json.loads(text) if text else None

    def refused(self, status, method, path, body=None, client=None):
        """What an answer with that status says."""
        seen, what = self.ask(method, path, body, client)
        self.assertEqual((seen, list(what)), (status, ["error"]), what)
        return what["error"]

    @staticmethod
    def until_closed(s):
        answer = b""
        while part := s.recv(65536):
            answer += part
        return answer

    def raw(self, *parts, pause=0):
        """All that comes after those bytes until the server closes."""
        with self.socket() as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for part in parts:
                s.sendall(part)
                time.sleep(pause)
            return self.until_closed(s)

    def test_a_note_is_added_shown_listed_and_removed(self):
        status, note = self.ask("POST", "/notes", {"text": "buy milk \u00e9\U0001f95b"})
        self.assertEqual((status, note["text"]), (201, "buy milk \u00e9\U0001f95b"))
        place = f"/notes/{note['id']}"
        self.assertEqual(self.answer.getheader("location"), place)
        self.assertEqual(self.ask("GET", place), (200, note))
        self.assertEqual(self.ask("GET", "/notes?all")[0], 200)
        self.assertIn(note, self.ask("GET", "/notes")[1])
        self.assertEqual(self.ask("DELETE", place), (204, None))
        self.assertIsNone(self.answer.getheader("content-length"))
        self.assertEqual(self.refused(404, "GET", place), f"there is no note {note['id']}")
        self.refused(404, "DELETE", place)
        self.assertNotIn(note, self.ask("GET", "/notes")[1])

    def test_curl_does_the_same(self):
        if not shutil.which("curl"):
            self.skipTest("needs curl")

        def curl(*arguments):
            done = subprocess.run(
                ["curl", "-sS", "-w", "%{http_code}", *arguments[:-1],
                 f"http://127.0.0.1:{self.port}{arguments[-1]}"],
                check=True, capture_output=True, text=True, timeout=30).stdout
            return int(done[-3:]), json.loads(done[:-3] or "null")
        status, note = curl("-d", '{"text": "from curl"}', "/notes")
        self.assertEqual((status, note["text"]), (201, "from curl"))
        place = f"/notes/{note['id']}"
        self.assertEqual(curl(place), (200, note))
        self.assertEqual(curl("--http1.0", place), (200, note))
        self.assertEqual(curl("-T", "-", "-X", "POST", "/notes")[0], 400)  # in chunks; empty
        self.assertEqual(curl("-X", "DELETE", place), (204, None))
        self.assertEqual(curl(place)[0], 404)

    def test_a_connection_is_kept_and_closed_when_the_client_says_so(self):
        self.ask("GET", "/health")
        first = self.client.sock
        self.ask("GET", "/nothing")
        self.ask("POST", "/notes", "not json")
        self.assertEqual(self.ask("GET", "/health"), (200, {"status": "ok"}))
        self.assertIsNotNone(first)
        self.assertIs(self.client.sock, first)
        answer = self.raw(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        self.assertIn(b"connection: close\r\n", answer)
        self.assertIn(b"connection: close\r\n", self.raw(b"GET /health HTTP/1.0\r\n\r\n"))

    def test_requests_in_a_pipeline_are_answered_in_order(self):
        requests = b"".join(b"GET /notes/x%d HTTP/1.1\r\nhost: x\r\n\r\n" % i for i in range(500))
        last = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        answers = self.raw(requests + last).split(b"HTTP/1.1 ")[1:]
        self.assertEqual(len(answers), 501)
        for i, answer in enumerate(answers[:-1]):
            self.assertTrue(answer.startswith(b"404 Not Found\r\n"), answer)
            self.assertIn(b"/notes/x%d\"" % i, answer)
        self.assertTrue(answers[-1].startswith(b"200 OK\r\n"))

    def test_a_slow_client_is_waited_for(self):
        body = json.dumps({"text": "slow"}).encode()
        request = (b"POST /notes HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
                   b"content-length: %d\r\n\r\n" % len(body)) + body
        answer = self.raw(*(request[i:i + 1] for i in range(len(request))), pause=0.002)
        self.assertTrue(answer.startswith(b"HTTP/1.1 201 Created\r\n"), answer)
        chunks = (b"POST /notes HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
                  b"transfer-encoding: chunked\r\n\r\n5\r\n" + body[:5] + b"\r\n%x\r\n" %
                  (len(body) - 5) + body[5:] + b"\r\n0\r\n\r\n")
        answer = self.raw(*(chunks[i:i + 1] for i in range(len(chunks))), pause=0.002)
        self.assertTrue(answer.startswith(b"HTTP/1.1 201 Created\r\n"), answer)

    def test_what_is_wrong_with_a_body_is_said(self):
        self.assertIn("parse error at line 1, column 10",
                      self.refused(400, "POST", "/notes", '{"text": oops}'))
        self.assertIn("key 'text' not found", self.refused(400, "POST", "/notes", {"test": "x"}))
        self.assertIn("type must be string", self.refused(400, "POST", "/notes", {"text": 7}))
        for text in ["", "x" * 2001]:
            self.assertIn("or more than 2000", self.refused(400, "POST", "/notes", {"text": text}))
        self.refused(400, "POST", "/notes", [1])
        self.refused(400, "POST", "/notes")
        self.refused(400, "POST", "/notes", {"text": "a\0b"})
        self.refused(400, "POST", "/notes", b'{"text": "\xff"}')

    def test_what_is_no_route_or_not_with_that_method_is_said(self):
        for path in ["/", "/note", "/notes/", "/notes/x", "/notes/1x", "/notes/9" + "9" * 30, "*"]:
            self.assertIn(path, self.refused(404, "GET", path))
        self.refused(405, "PUT", "/notes", {"text": "x"})
        self.assertEqual(self.answer.getheader("allow"), "GET, HEAD, POST")
        self.assertEqual(self.refused(405, "PATCH", "/notes"), "this method is not for /notes")
        self.refused(405, "POST", "/notes/1", {"text": "x"})
        self.assertEqual(self.answer.getheader("allow"), "GET, HEAD, DELETE")
        self.assertEqual(self.ask("HEAD", "/health"), (200, None))
        self.assertGreater(int(self.answer.getheader("content-length")), 0)
        self.assertEqual(self.ask("GET", "/health"), (200, {"status": "ok"}))

    def test_too_much_is_refused_and_the_connection_closed(self):
        note = b'{"text": "x"}' + b" " * (LIMIT - len('{"text": "x"}'))
        self.assertEqual(self.ask("POST", "/notes", note)[0], 201)
        for size in [LIMIT + 1, 10 * LIMIT]:
            client = self.connect()
            self.refused(413, "POST", "/notes", b"x" * size, client)
            self.assertIsNone(client.sock)
            client.close()
        chunk = b"%x\r\n" % LIMIT + b"x" * LIMIT + b"\r\n"
        answer = self.raw(b"POST /notes HTTP/1.1\r\nhost: x\r\n"
                          b"transfer-encoding: chunked\r\n\r\n" + 2 * chunk)
        self.assertTrue(answer.startswith(b"HTTP/1.1 413 "), answer)
        answer = self.raw(b"GET / HTTP/1.1\r\nx: " + b"x" * 100_000 + b"\r\n\r\n")
        self.assertTrue(answer.startswith(b"HTTP/1.1 431 "), answer)

    def test_what_is_not_http_is_refused(self):
        for nonsense in [b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3\r\n\r\n", b"GET\r\n\r\n",
                         b"GET / HTTP/3.0\r\n\r\n",
                         b"GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n"]:
            answer = self.raw(nonsense)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
            self.assertIn(b'{"error":', answer)
        for unfinished in [b"", b"GET / HT", b"POST /notes HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"]:
            with self.socket() as s:
                s.sendall(unfinished)
                s.shutdown(socket.SHUT_WR)
                self.assertEqual(s.recv(1), b"")

    def test_clients_that_hang_up_are_not_worth_a_line(self):
        for _ in range(20):
            with self.socket() as s:
                s.sendall(b"GET /notes HTTP/1.1\r\nhost: x\r\n\r\n" * 50)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.assertEqual(self.ask("GET", "/health")[0], 200)

    def test_a_database_that_has_gone_is_503_and_one_that_is_back_is_used(self):
        self.errors = r"(?:/\w+: [^\n]+ \(\w{5}\)[^\n]*\n)+"  # one line for each
        self.assertEqual(self.ask("GET", "/health")[0], 200)
        for _ in range(2):
            self.database.tell("kill")
            with self.back_at_the_end("start"):
                self.assertEqual(self.refused(503, "GET", "/health"), "no database")
                self.refused(503, "POST", "/notes", {"text": "x"})
                self.refused(404, "GET", "/nothing")
            self.assertEqual(self.ask("GET", "/health"), (200, {"status": "ok"}))

    def test_a_database_that_does_not_answer_is_504_and_then_healthy_again(self):
        self.assertEqual(self.ask("GET", "/health")[0], 200)
        self.database.tell("freeze")
        with self.back_at_the_end("thaw"), self.many(20) as ask:
            answers = list(ask(lambda client: self.ask_apart("GET", "/notes", client)))
        self.assertEqual(set(answers), {(504, '{"error":"the database did not answer in time"}\n')})
        self.assertEqual(self.ask("GET", "/health"), (200, {"status": "ok"}))

    def test_what_the_database_refuses_is_500_and_a_line_for_the_operator(self):
        with self.database.psql() as sql:
            sql("alter table notes rename to gone")
            try:
                self.assertEqual(self.refused(500, "GET", "/notes"), "internal error")
            finally:
                sql("alter table gone rename to notes")
        self.errors = r'/notes: relation "notes" does not exist \(42P01\)[^\n]*\n'
        self.assertEqual(self.ask("GET", "/notes")[0], 200)

    def test_a_hundred_clients_at_once(self):
        def add_and_look(client):
            seen = []
            for i in range(10):
                note = json.dumps({"text": f"many {i}"})
                status, text = self.ask_apart("POST", "/notes", client, note)
                place = f"/notes/{json.loads(text)['id']}"
                seen.append((status, self.ask_apart("GET", place, client) == (200, text),
                             self.ask_apart("DELETE", place, client)))
            return seen
        with self.many(100) as ask:
            for seen in ask(add_and_look):
                self.assertEqual(seen, [(201, True, (204, ""))] * 10)

    def test_what_was_asked_is_answered_when_the_end_comes(self):
        with self.database.psql() as sql, self.socket() as s:
            sql("begin; lock table notes")
            s.sendall(b"GET /notes HTTP/1.1\r\nhost: x\r\n\r\n")
            while sql("select pg_stat_clear_snapshot(); select count(*) from pg_stat_activity"
                      " where wait_event_type = 'Lock'") != "1":
                time.sleep(0.01)
            self.app.send_signal(signal.SIGTERM)
            with contextlib.suppress(ConnectionRefusedError):
                while True:  # until it listens no more
                    self.socket().close()
                    time.sleep(0.01)
            sql("commit")
            answer = self.until_closed(s)
            self.assertTrue(answer.startswith(b"HTTP/1.1 200 OK\r\n"), answer[:200])
            self.assertTrue(answer.endswith(b"]\n"))
        self.app.wait(timeout=30)

    def ask_apart(self, method, path, client, body=None):
        """Like ask, for threads."""
        client.request(method, path, body)
        answer = client.getresponse()
        return answer.status, answer.read().decode()

    @contextlib.contextmanager
    def many(self, count):
        """A function that calls another one in so many threads, with a connection for each."""
        clients = [self.connect() for _ in range(count)]
        with concurrent.futures.ThreadPoolExecutor(count) as threads:
            yield lambda f: threads.map(f, clients)
        for client in clients:
            client.close()

    @contextlib.contextmanager
    def back_at_the_end(self, command):
        try:
            yield
        finally:
            self.database.tell(command)


class WithoutDatabase(unittest.TestCase):
    def test_it_says_what_to_do(self):
        quiet = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        for arguments, environment in [(["host=127.0.0.1 port=1 user=me"], {}),
                                       ([], {"PGHOST": "/none"})]:
            done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60,
                                  env=quiet | environment)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, r"\Aerror: connection to server [^\n]* \(08001\)\n"
                                          r"Say where the database is: [^\n]*PGHOST[^\n]*\n\Z")


if __name__ == "__main__":
    if not PSQL:
        sys.exit("skipped: needs PostgreSQL's server")
    unittest.main()
