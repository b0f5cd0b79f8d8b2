#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""The example tls_echo against openssl's own server and client, and Python's.

openssl_peers.py PROGRAM
"""
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

SECONDS = 30  # a hang is a failure


def make_certificate(folder, name, subject):
    certificate, key = f"{folder}/{name}.pem", f"{folder}/{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt",
         "ec_paramgen_curve:prime256v1", "-keyout", key, "-out", certificate, "-days", "2",
         "-subj", f"/CN={subject}", "-addext", f"subjectAltName=DNS:{subject}"],
        check=True, capture_output=True)
    return certificate, key


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def ask(program, port, ca, text="hello"):
    return subprocess.run([program, "--ask", "localhost", str(port), ca, text],
                          capture_output=True, text=True, timeout=SECONDS)


def test_their_clients(program, certificate, key, other):
    server = subprocess.Popen([program, certificate, key, "0"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    try:
        port = int(re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", server.stdout.readline())[1])

        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            context = ssl.create_default_context(cafile=certificate)
            context.minimum_version = context.maximum_version = version
            text = bytes(i * 7 % 256 for i in range(1 << 20))
            with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain:
                with context.wrap_socket(plain, server_hostname="localhost") as peer:
                    for at in range(0, len(text), 1 << 16):
                        peer.sendall(text[at:at + (1 << 16)])
                        came = b""
                        while len(came) < 1 << 16:
                            came += peer.recv(1 << 16)
                        assert came == text[at:at + (1 << 16)]
                    peer.unwrap()  # fails unless the server says goodbye in order

        client = subprocess.Popen(
            ["openssl", "s_client", "-quiet", "-no_ign_eof", "-verify_return_error",
             "-CAfile", certificate, "-servername", "localhost", "-verify_hostname", "localhost",
             "-connect", f"127.0.0.1:{port}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        client.stdin.write("from s_client\n")
        client.stdin.flush()
        assert client.stdout.readline() == "from s_client\n"
        client.stdin.close()
        assert client.wait(SECONDS) == 0

        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")  # ends this connection, and no other
            while plain.recv(1000):
                pass
        answer = ask(program, port, certificate)
        assert answer.returncode == 0 and answer.stdout == "TLSv1.3: hello\n", answer
        refused = ask(program, port, other)
        assert refused.returncode == 1 and "certificate verify failed" in refused.stderr, refused

        server.send_signal(signal.SIGINT)
        assert server.wait(SECONDS) == 130
        assert "http request" in server.stderr.read()
    finally:
        server.kill()


def test_their_server(program, certificate, key):
    for version in "-tls1_2", "-tls1_3":
        port = free_port()
        server = subprocess.Popen(
            ["openssl", "s_server", "-rev", version, "-accept", f"127.0.0.1:{port}",
             "-cert", certificate, "-key", key],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + SECONDS
            while True:
                answer = ask(program, port, certificate, "desserts")
                if answer.returncode == 0 or time.monotonic() > end:
                    break
                assert "refused" in answer.stderr, answer  # it does not listen yet
                time.sleep(0.02)
            expected = {"-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3"}[version]
            assert answer.stdout == f"{expected}: stressed\n", answer
        finally:
            server.kill()
            server.wait()


def main():
    program = sys.argv[1]
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = make_certificate(folder, "server", "localhost")
        other, _ = make_certificate(folder, "other", "localhost")
        test_their_clients(program, certificate, key, other)
        test_their_server(program, certificate, key)


main()
