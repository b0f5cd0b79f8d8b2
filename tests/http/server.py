#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""server.py DESCRIPTOR: Python's http.server on a listening socket that it inherits.

Prints "ready" and serves until its standard input ends, so it never outlives who started it.

    /json             {"answer": 42}
    /inspect...       what it was asked: {"method", "target", "headers": [[name, value]...], "body"}
    /echo             the body that was sent
    /slow?ms=200      {"waited": 200}, after that time
    /late?ms=200      the head at once, and "late" after that time
    /status/404       an answer with that status
    /redirect?code=302&to=/inspect
    /loop             redirects to itself
    /cookie?a=1       redirects to /inspect and sets that cookie
    /duplicates       two Set-Cookie, an empty field, and one with blanks around its value
    /gzip  /chunked   the same 100 kB of text, compressed, or in chunks
    /bytes?n=1000     so many bytes
    /flaky?times=2&status=503&after=1
                      two times an answer with that status and that Retry-After, if they are given,
                      else none and the end of the connection; from then on the body that was sent
    /hang-up          {"answer": 42}, and closes the connection without having said so
    /stats            {"connections", "peak", "requests": ["GET /json", ...]}, without the questions
                      for /stats and their connections

A target that is a whole URL is answered like /inspect, as if it were a proxy.
"""
import gzip
import http.server
import json
import os
import socket
import sys
import threading
import time
import urllib.parse

TEXT = b"".join(b"line %d of a text that is worth compressing\n" % i for i in range(2500))[:100_000]
lock = threading.Lock()
failed = {}  # how often, of each target
stats = {"connections": 0, "open": 0, "peak": 0, "requests": []}


class handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    counted = False

    def log_message(self, *arguments):
        pass

    def count(self):
        with lock:
            stats["requests"].append(f"{self.command} {self.path}")
            if not self.counted:
                self.counted = True
                stats["connections"] += 1
                stats["open"] += 1
                stats["peak"] = max(stats["peak"], stats["open"])

    def finish(self):
        super().finish()
        if self.counted:
            with lock:
                stats["open"] -= 1

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, body=b"", kind="application/json", status=200, fields=()):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if self.path == "/stats":
            with lock:
                return self.answer(stats)
        self.count()
        body = self.body()
        if self.path == "/json":
            self.answer({"answer": 42})
        elif self.path == "/echo":
            self.answer(body, self.headers.get("Content-Type", "application/octet-stream"))
        elif url.path == "/slow":
            time.sleep(int(query["ms"]) / 1000)
            self.answer({"waited": int(query["ms"])})
        elif url.path == "/late":
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            time.sleep(int(query["ms"]) / 1000)
            self.wfile.write(b"late")
        elif url.path.startswith("/status/"):
            self.answer({"sorry": True}, status=int(url.path[8:]))
        elif url.path == "/redirect":
            self.answer(b"moved", "text/plain", int(query["code"]), [("Location", query["to"])])
        elif url.path == "/cookie":
            self.answer(b"", status=302, fields=[("Location", "/inspect"), ("Set-Cookie", url.query)])
        elif self.path == "/loop":
            self.answer(b"", status=302, fields=[("Location", "/loop")])
        elif self.path == "/duplicates":
            self.answer(fields=[("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-Empty", ""),
                                ("X-Blanks", " \t in the middle \t ")])
        elif self.path == "/gzip":
            self.answer(gzip.compress(TEXT), "text/plain", fields=[("Content-Encoding", "gzip")])
        elif self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(TEXT), 9_999):
                part = TEXT[at:at + 9_999]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        elif url.path == "/bytes":
            self.answer(b"x" * int(query["n"]), "application/octet-stream")
        elif url.path == "/flaky":
            with lock:
                failed[self.path] = failed.get(self.path, 0) + 1
                fails = failed[self.path] <= int(query["times"])
            if not fails:
                self.answer(body, "text/plain")
            elif "status" in query:
                after = [("Retry-After", query["after"])] if "after" in query else []
                self.answer(b"sorry", "text/plain", int(query["status"]), after)
            else:
                self.close_connection = True
        elif self.path == "/hang-up":
            self.answer({"answer": 42})
            self.close_connection = True
        elif url.path.startswith("/inspect") or url.scheme:
            self.answer({"method": self.command, "target": self.path,
                         "headers": self.headers.items(), "body": body.decode("latin-1")})
        else:
            self.answer({"sorry": True}, status=404)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_PURGE = serve


class server(http.server.ThreadingHTTPServer):
    def __init__(self, descriptor):
        super().__init__(("127.0.0.1", 0), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=descriptor)
        self.server_address = self.socket.getsockname()

    def handle_error(self, request, client_address):
        pass  # clients hang up: that is what many tests are about


if __name__ == "__main__":
    threading.Thread(target=server(int(sys.argv[1])).serve_forever, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
