#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# Runs a command while nginx answers at HTTP_URL, on the first core: what is measured runs on another
# one, if there is one.
#
#   benchmarks/http_client/with_nginx.sh benchmarks/run.sh --build build/bench --peers http_client

set -euo pipefail
nginx=$(PATH=$PATH:/usr/sbin:/sbin command -v nginx) || { echo "with_nginx.sh: needs nginx" >&2; exit 2; }
folder=$(mktemp -d)
server=''
trap '[ -z "$server" ] || { kill "$server"; wait "$server" || true; }; rm -rf "$folder"' EXIT
port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$folder/conf" <<END
daemon off;
master_process off;
pid $folder/pid;
error_log $folder/log warn;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path $folder/body;
  proxy_temp_path $folder/proxy;
  fastcgi_temp_path $folder/fastcgi;
  uwsgi_temp_path $folder/uwsgi;
  scgi_temp_path $folder/scgi;
  server {
    listen 127.0.0.1:$port;
    location / { default_type application/json; return 200 '{"answer":42}'; }
  }
}
END
taskset -c 0 "$nginx" -p "$folder" -c "$folder/conf" 2>"$folder/output" &
server=$!
export HTTP_URL="http://127.0.0.1:$port/"
until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>"$folder/refused"; do
  kill -0 "$server" 2>/dev/null || { server=''; cat "$folder/output" >&2; exit 2; }
done
"$@"
