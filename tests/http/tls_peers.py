#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""tls_peers.py FOLDER STRICT GONE: servers that nginx is no model for, on two sockets that it inherits.

STRICT wants a certificate of its client, and says so with an alert, as TLS 1.3 does it: behind a
handshake that the client takes for complete. GONE speaks HTTP/2 and takes no request: it says that
it has looked at none (GOAWAY), and closes. Both use the certificate of nginx.py in FOLDER.
Prints "ready" and ends when standard input ends.
"""
import pathlib
import socket
import ssl
import sys
import threading

SETTINGS = b"\0\0\0\x04\0\0\0\0\0"
GOAWAY = b"\0\0\x08\x07\0\0\0\0\0" + 8 * b"\0"  # last stream 0, no error


def context_of(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


def until_it_ends(peer):
    try:
        while peer.recv(65536):
            pass
    except OSError:
        pass


def goes_away(peer):
    peer.sendall(SETTINGS + GOAWAY)
    peer.shutdown(socket.SHUT_WR)
    until_it_ends(peer)


def serve(descriptor, context, talk):
    listener = socket.socket(fileno=int(descriptor))
    listener.setblocking(True)
    while True:
        peer, _ = listener.accept()
        with peer.dup() as open_still:  # a handshake that fails closes its socket, and the alert is lost
            try:
                with context.wrap_socket(peer, server_side=True) as secure:
                    talk(secure)
            except OSError:
                until_it_ends(open_still)


def main(folder, strict, gone):
    folder = pathlib.Path(folder)
    asks = context_of(folder)
    asks.verify_mode = ssl.CERT_REQUIRED
    asks.load_verify_locations(folder / "ca.pem")
    modern = context_of(folder)
    modern.set_alpn_protocols(["h2"])
    for each in ((strict, asks, until_it_ends), (gone, modern, goes_away)):
        threading.Thread(target=serve, args=each, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
