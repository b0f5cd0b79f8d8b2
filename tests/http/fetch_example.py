#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""fetch_example.py PROGRAM: the example fetch as users run it, against servers that they have.

Options of unittest may follow, such as -v or the name of a test.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else sys.exit(__doc__)
SLOWNESS = int(os.environ.get("RONDO_TEST_SLOWNESS", "1"))  # as in support/slowness.hpp
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}


def listener():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(100)
    return s


@contextlib.contextmanager
def script(name, *arguments, sockets=1):
    """Runs a script of this folder; gives the ports of the sockets that it listens on."""
    listeners = [listener() for _ in range(sockets)]
    numbers = [s.fileno() for s in listeners]
    ports = [s.getsockname()[1] for s in listeners]
    child = subprocess.Popen([sys.executable, HERE / name, *arguments, *map(str, numbers)],
                             pass_fds=numbers, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for s in listeners:
        s.close()
    try:
        if child.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{name} did not start")
        yield ports
    finally:
        child.stdin.close()
        child.wait()
        child.stdout.close()


@contextlib.contextmanager
def peer(behave):
    """A listener that hands each peer to a function, on a thread."""
    server = listener()

    def accept():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=behave, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/x"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def hangs_up_in_the_body(connection):
    connection.recv(10_000)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe beginning")
    connection.close()


def never_answers(connection):
    while connection.recv(10_000):
        pass
    connection.close()


class fetch_test(unittest.TestCase):
    @classmethod
    def enter(cls, context):
        value = context.__enter__()
        cls.addClassCleanup(context.__exit__, None, None, None)
        return value

    def fetch(self, *arguments):
        begin = time.monotonic()
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True,
                              timeout=30 * SLOWNESS, env=ENVIRONMENT, stdin=subprocess.DEVNULL)
        done.seconds = time.monotonic() - begin
        return done

    def check_all_went_well(self, done):
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.returncode, 0)

    def check_they_overlapped(self, done):
        """Two answers, one after 200 ms and one after as many or one less; however slow the machine is."""
        each = re.findall(r"^200 http://\S+ \((\d+) ms\)$", done.stdout, re.MULTILINE)
        self.assertEqual(len(each), 2)
        self.assertGreaterEqual(min(map(int, each)), 199)
        self.assertGreaterEqual(self.took(done), 200)
        self.assertLess(self.took(done), sum(map(int, each)))

    def check_one_failed(self, done, url, *words):
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        for each in (url, *words):
            self.assertIn(each, lines[0])
        self.assertEqual(done.returncode, 1)

    def took(self, done):
        return int(re.search(r"^all in (\d+) ms$", done.stdout, re.MULTILINE)[1])


class without_arguments(fetch_test):
    def test_prints_two_overlapping_answers_and_ends(self):
        done = self.fetch()
        self.check_all_went_well(done)
        bodies = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        self.assertEqual(bodies, [{"city": "Oslo", "celsius": 7}, {"bread": 3.5, "milk": 1.2}])
        self.check_they_overlapped(done)
        self.assertLess(self.took(done), 280 * SLOWNESS)

    def test_says_how_it_is_used(self):
        for wrong in (["--help"], ["--timeout"], ["--timeout", "soon"], ["--cacert"], ["-x"]):
            done = self.fetch(*wrong)
            self.assertEqual(done.returncode, 2)
            self.assertIn("usage: fetch ", done.stderr)

    def test_one_line_when_it_takes_too_long(self):
        done = self.fetch("--timeout", "0.05")
        self.check_one_failed(done, "http://127.0.0.1:", "not complete within 50 ms")


class against_python(fetch_test):
    @classmethod
    def setUpClass(cls):
        (port,) = cls.enter(script("server.py"))
        cls.url = f"http://127.0.0.1:{port}"

    def check_the_other_is_printed(self, done):
        self.assertIn(f"200 {self.url}/json (", done.stdout)
        self.assertIn('{"answer":42}', done.stdout)

    def test_two_slow_urls_overlap(self):
        self.fetch(f"{self.url}/json")
        done = self.fetch(f"{self.url}/slow?ms=200", f"{self.url}/slow?ms=199")
        self.check_all_went_well(done)
        self.assertIn('{"waited":200}', done.stdout)
        self.assertIn('{"waited":199}', done.stdout)
        self.check_they_overlapped(done)
        self.assertLess(self.took(done), 300 * SLOWNESS)

    def test_refused_port(self):
        with listener() as nobody:
            port = nobody.getsockname()[1]
        url = f"http://127.0.0.1:{port}/x"
        done = self.fetch(url, f"{self.url}/json")
        self.check_one_failed(done, url, "connection refused")
        self.check_the_other_is_printed(done)

    def test_unknown_host(self):
        done = self.fetch("http://nowhere.invalid/x", f"{self.url}/json")
        self.check_one_failed(done, "http://nowhere.invalid/x", "resolve host")
        self.check_the_other_is_printed(done)
        self.assertLess(done.seconds, 5 * SLOWNESS)

    def test_404(self):
        done = self.fetch(f"{self.url}/status/404", f"{self.url}/json")
        self.check_one_failed(done, f"{self.url}/status/404", "404 Not Found")
        self.check_the_other_is_printed(done)

    def test_hang_up_in_the_middle_of_the_body(self):
        with peer(hangs_up_in_the_body) as url:
            done = self.fetch(url, f"{self.url}/json")
        self.check_one_failed(done, url, "connection ended in the middle of the body")
        self.check_the_other_is_printed(done)

    def test_no_answer(self):
        with peer(never_answers) as url:
            done = self.fetch("--timeout", "0.5", url, f"{self.url}/json")
        self.check_one_failed(done, url, "within 500 ms")
        self.check_the_other_is_printed(done)
        self.assertGreaterEqual(done.seconds, 0.5)
        self.assertLess(done.seconds, 1 * SLOWNESS)

    def test_no_url_and_no_http(self):
        for url in ("http://[", "ftp://127.0.0.1/x"):
            done = self.fetch(url, f"{self.url}/json")
            self.check_one_failed(done, url)
            self.check_the_other_is_printed(done)

    def test_several_fail(self):
        done = self.fetch(f"{self.url}/status/404", f"{self.url}/json", f"{self.url}/status/500")
        self.assertEqual(len(done.stderr.splitlines()), 2)
        self.assertEqual(done.returncode, 1)
        self.check_the_other_is_printed(done)

    def test_what_is_not_json_is_shown_by_its_first_bytes(self):
        done = self.fetch(f"{self.url}/gzip")
        self.check_all_went_well(done)
        self.assertIn("\nline 0 of a text", done.stdout)
        self.assertLess(len(done.stdout), 400)

    def test_redirect(self):
        done = self.fetch(f"{self.url}/redirect?code=302&to=/json")
        self.check_all_went_well(done)
        self.check_the_other_is_printed(done)

    def test_verbose(self):
        done = self.fetch("--verbose", f"{self.url}/json")
        self.check_all_went_well(done)
        self.assertIn("  Content-Type: application/json\n", done.stdout)
        self.assertRegex(done.stdout, r"first byte \d+\n")

    def test_ctrl_c_ends_it(self):
        asked = threading.Event()

        def waits(connection):
            connection.recv(10_000)
            asked.set()
            never_answers(connection)

        with peer(waits) as url:
            child = subprocess.Popen([PROGRAM, url], env=ENVIRONMENT, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
            self.assertTrue(asked.wait(10 * SLOWNESS))
            child.send_signal(signal.SIGINT)
            out, err = child.communicate(timeout=10 * SLOWNESS)
        self.assertEqual((child.returncode, out, err), (130, b"", b""))


NGINX = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/sbin")


@unittest.skipUnless(NGINX, "needs nginx")
class against_nginx(fetch_test):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enter(tempfile.TemporaryDirectory())
        plain, tls, other, _ = cls.enter(script("nginx.py", cls.folder, sockets=4))
        cls.plain = f"http://127.0.0.1:{plain}"
        cls.tls = f"https://localhost:{tls}"
        cls.other = f"https://localhost:{other}"
        cls.ca = f"{cls.folder}/ca.pem"

    def test_json(self):
        done = self.fetch(f"{self.plain}/json", f"{self.plain}/json?again")
        self.check_all_went_well(done)
        self.assertEqual(done.stdout.count('{"answer":42}'), 2)

    def test_404(self):
        done = self.fetch(f"{self.plain}/missing", f"{self.plain}/json")
        self.check_one_failed(done, f"{self.plain}/missing", "404 Not Found")
        self.assertIn('{"answer":42}', done.stdout)

    def test_https_with_its_authority(self):
        done = self.fetch("--cacert", self.ca, f"{self.tls}/json")
        self.check_all_went_well(done)
        self.assertIn('{"answer":42}', done.stdout)

    def test_https_without_its_authority(self):
        done = self.fetch(f"{self.tls}/json", f"{self.plain}/json")
        self.check_one_failed(done, f"{self.tls}/json", "certificate is not trusted")
        self.assertIn('{"answer":42}', done.stdout)

    def test_https_to_the_wrong_host(self):
        done = self.fetch("--cacert", self.ca, f"{self.other}/json")
        self.check_one_failed(done, f"{self.other}/json", "certificate is not for this host")


if __name__ == "__main__":
    unittest.main()
