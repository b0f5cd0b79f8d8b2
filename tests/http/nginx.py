#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""nginx.py FOLDER PLAIN TLS OTHER OLD: nginx as an ordinary user, on four sockets that it inherits.

PLAIN speaks HTTP; TLS speaks HTTPS and HTTP/2 with a certificate for localhost and 127.0.0.1; OTHER
does, too, but its certificate is for another host, and it closes a connection after 20 requests; OLD
is as TLS, without HTTP/2. All serve FOLDER/www, and

    /protocol         HTTP/1.1 or HTTP/2.0
    /json             {"answer":42}
    /store/name       PUT and GET; PUT of more than 1 MB is answered by 413
    /unmodified       304, with a Location
    /gone             closes the connection without an answer, and writes a line to FOLDER/gone
    /refused          403 and "sorry!", without a look at the body

FOLDER/ca.pem signed both certificates. Prints "ready" and ends nginx when standard input ends.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import sys

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/log warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  types {{ application/json json; text/plain txt; }}
  default_type application/octet-stream;
  gzip on;
  gzip_types application/json text/plain;
  gzip_min_length 100;
  keepalive_requests 10000;
  root {folder}/www;
  server {{
    listen 127.0.0.1:{ports[0]};
    include {folder}/locations;
  }}
  server {{
    listen 127.0.0.1:{ports[1]} ssl http2;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
    include {folder}/locations;
  }}
  server {{
    listen 127.0.0.1:{ports[2]} ssl http2;
    keepalive_requests 20;
    ssl_certificate {folder}/other.pem;
    ssl_certificate_key {folder}/other.key;
    include {folder}/locations;
  }}
  server {{
    listen 127.0.0.1:{ports[3]} ssl;
    ssl_certificate {folder}/server.pem;
    ssl_certificate_key {folder}/server.key;
    include {folder}/locations;
  }}
}}
"""
LOCATIONS = """
location = /protocol { default_type text/plain; return 200 $server_protocol; }
location /store/ { client_max_body_size 1m; dav_methods PUT; create_full_put_path on; }
location = /gone { access_log gone; return 444; }
location = /refused { default_type text/plain; return 403 'sorry!'; }
location = /unmodified { add_header Location /json always; return 304; }
location = /json { default_type application/json; return 200 '{"answer":42}'; }
"""
CERTIFICATES = """
new="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
openssl req -x509 $new -days 2 -subj /CN=test-authority -keyout ca.key -out ca.pem
openssl req -x509 $new -days 2 -subj /CN=another-authority -keyout stranger.key -out stranger.pem
sign() {
  openssl req $new -subj /CN=$1 -keyout $1.key -out $1.csr
  echo "subjectAltName=$2" >$1.ext
  openssl x509 -req -days 2 -in $1.csr -CA ca.pem -CAkey ca.key -set_serial $3 \\
    -extfile $1.ext -out $1.pem
}
sign server DNS:localhost,IP:127.0.0.1 1
sign other DNS:other.example 2
"""


def main(folder, *descriptors):
    folder = pathlib.Path(folder)
    ports = [socket.socket(fileno=os.dup(int(d))).getsockname()[1] for d in descriptors]
    os.makedirs(folder / "www", exist_ok=True)
    subprocess.run(["sh", "-ec", CERTIFICATES], cwd=folder, check=True, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (folder / "conf").write_text(CONFIGURATION.format(folder=folder, ports=ports))
    (folder / "locations").write_text(LOCATIONS)
    user = None
    if os.geteuid() == 0:
        user = 65534  # nobody
        for each in [folder, *folder.rglob("*")]:
            os.chown(each, user, user)
    # As in an upgrade of nginx without a pause: it takes the sockets over, so no port can be lost.
    environment = dict(os.environ, NGINX="".join(d + ";" for d in descriptors))
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    with open(folder / "output", "wb") as output:
        nginx = subprocess.Popen([program, "-p", folder, "-c", folder / "conf"], env=environment,
                                 stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                 pass_fds=[int(d) for d in descriptors], user=user, group=user,
                                 extra_groups=None if user is None else [])
    for d in descriptors:
        os.close(int(d))
    with socket.create_connection(("127.0.0.1", ports[0])) as peer:
        peer.sendall(b"GET /protocol HTTP/1.0\r\n\r\n")
        if not peer.recv(1):
            sys.exit((folder / "output").read_text())
    print("ready", flush=True)
    sys.stdin.read()
    nginx.terminate()
    nginx.wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
