#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# install-packages.sh examples [EXAMPLE]
# install-packages.sh tests
# install-packages.sh benchmarks [peers]
#
# Makes sure that what the examples, the tests or the benchmarks need is on this machine. What is
# large and only one example needs, is there for that one and for the tests; what the benchmarks
# compare with, when `peers` is asked for. Says what is missing;
# on Debian and Ubuntu it installs that (with sudo when not root), elsewhere it prints the names
# of the packages and stops. When nothing is missing it does nothing, at once.
set -euo pipefail

# use | how to see that it is there | Debian, Ubuntu | Fedora | openSUSE | Arch
#   command:a,b     one of these programs is on the PATH
#   library:a,b     pkg-config knows one of these
#   path:p,q        one of these paths exists
#   module:a        the system's Python has this module
table='
examples | command:c++,g++,clang++          | g++                  | gcc-c++            | gcc-c++             | gcc
examples | command:cmake                    | cmake                | cmake              | cmake               | cmake
examples | command:ninja,make               | ninja-build          | ninja-build        | ninja               | ninja
examples | command:pkg-config               | pkg-config           | pkgconf-pkg-config | pkg-config          | pkgconf
examples | library:liburing                 | liburing-dev         | liburing-devel     | liburing-devel      | liburing
examples | library:libcurl                  | libcurl4-openssl-dev | libcurl-devel      | libcurl-devel       | curl
examples | library:nlohmann_json            | nlohmann-json3-dev   | json-devel         | nlohmann_json-devel | nlohmann-json
examples | library:libpq                    | libpq-dev            | libpq-devel        | postgresql-devel    | postgresql-libs
examples | library:openssl                  | libssl-dev           | openssl-devel      | libopenssl-devel    | openssl
examples | library:fmt                      | libfmt-dev           | fmt-devel          | fmt-devel           | fmt
examples | path:/etc/ssl/certs/ca-certificates.crt,/etc/pki/tls/cert.pem,/etc/ssl/ca-bundle.pem | ca-certificates      | ca-certificates    | ca-certificates     | ca-certificates
web_app  | path:/usr/include/boost/beast.hpp | libboost-dev      | boost-devel        | libboost_headers-devel | boost
tests    | library:catch2,catch2-with-main  | catch2               | catch-devel        | Catch2-devel        | catch2
tests    | command:python3                  | python3              | python3            | python3             | python
tests    | command:nginx                    | nginx-light          | nginx              | nginx               | nginx
tests    | path:/usr/lib/postgresql,/usr/bin/postgres | postgresql           | postgresql-server  | postgresql-server   | postgresql
tests    | command:openssl                  | openssl              | openssl            | openssl             | openssl
tests    | command:curl                     | curl                 | curl               | curl                | curl
tests    | command:nc                       | netcat-openbsd       | netcat             | netcat-openbsd      | openbsd-netcat
tests    | command:socat                    | socat                | socat              | socat               | socat
tests    | command:git                      | git                  | git                | git                 | git
tests    | command:gdb                      | gdb                  | gdb                | gdb                 | gdb
tests    | command:valgrind                 | valgrind             | valgrind           | valgrind            | valgrind
tests    | command:strace                   | strace               | strace             | strace              | strace
tests    | command:redis-cli                | redis-tools          | redis              | redis               | redis
benchmarks | command:python3                | python3              | python3            | python3             | python
peers    | path:/usr/include/asio.hpp       | libasio-dev          | asio-devel         | asio-devel          | asio
peers    | library:libuv                    | libuv1-dev           | libuv-devel        | libuv-devel         | libuv
peers    | module:uvloop                    | python3-uvloop       | python3-uvloop     | python3-uvloop      | python-uvloop
peers    | module:aiohttp                   | python3-aiohttp      | python3-aiohttp    | python3-aiohttp     | python-aiohttp
peers    | module:matplotlib                | python3-matplotlib   | python3-matplotlib | python3-matplotlib  | python-matplotlib
peers    | command:go                       | golang-go            | golang             | go                  | go
'
purpose=${1:-tests}
more=${2:-}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

is_there() { # kind:name,name
  local name
  for name in $(tr , ' ' <<<"${1#*:}"); do
    case $1 in
      command:*) command -v "$name" >/dev/null && return 0 ;;
      library:*) pkg-config --exists "$name" 2>/dev/null && return 0 ;;
      path:*) [ -e "$name" ] && return 0 ;;
      module:*) /usr/bin/python3 -c "import $name" 2>/dev/null && return 0 ;;
    esac
  done
  return 1
}

debian=() fedora=() opensuse=() arch=()
while IFS='|' read -r use check deb fed sus arc; do
  [ -n "${check// /}" ] || continue
  use=${use// /} check=${check// /}
  case $use in
    examples | "$purpose" | "$more") ;;
    benchmarks | peers) continue ;;
    *) [ "$purpose" = tests ] || continue ;;
  esac
  if [ "$check" = command:c++,g++,clang++ ] && [ -n "${CXX:-}" ]; then
    command -v "${CXX%% *}" >/dev/null || { echo "CXX=$CXX: no such compiler" >&2; exit 1; }
    continue
  fi
  is_there "$check" && continue
  debian+=("${deb// /}") fedora+=("${fed// /}") opensuse+=("${sus// /}") arch+=("${arc// /}")
done <<<"$table"

[ ${#debian[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null; then
  cat >&2 <<TEXT
This machine lacks packages that rondo's $purpose need. Install them and run this again:
  Debian, Ubuntu   sudo apt-get install ${debian[*]}
  Fedora           sudo dnf install ${fedora[*]}
  openSUSE         sudo zypper install ${opensuse[*]}
  Arch             sudo pacman -S ${arch[*]}
TEXT
  exit 1
fi

echo "Installing what is missing: ${debian[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "Not root, and there is no sudo. As root: apt-get install ${debian[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

# The tests start servers of their own: keep the packages from starting them as services.
if [[ " ${debian[*]} " =~ " "(nginx|postgresql) ]] && [ ! -e /usr/sbin/policy-rc.d ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee /usr/sbin/policy-rc.d >/dev/null
  trap '"${as_root[@]}" rm -f /usr/sbin/policy-rc.d' EXIT
  "${as_root[@]}" chmod +x /usr/sbin/policy-rc.d
fi

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 \
    -o DPkg::Lock::Timeout=300 "$@"
}
log=$(mktemp)
if ! { apt update && apt install -y --no-install-recommends "${debian[@]}"; } </dev/null >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "apt-get could not install ${debian[*]} (the whole output: $log)" >&2
  exit 1
fi
rm -f "$log"
