#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# Runs the contenders of each question interleaved (A B C A B C ...), on one core, and prints what
# each row costs and how many times the hand-written limit of the same round that is.
#
#   benchmarks/run.sh                     task, when_all, sync, channel, nop, file_read and echo
#   benchmarks/run.sh task nop            these
#   benchmarks/run.sh --peers             what a user would pick instead as well, and the questions
#                                         timers, post, idle_memory and compile: a quarter of an hour
#   benchmarks/run.sh --gate              exit 1 if a row of rondo is over 1.15 times its limit
#
# Installs what is missing first (Debian and Ubuntu; see cmake/install-packages.sh).
#
# Options:
#   --rounds N         how often each contender runs (5; 3 with --peers)
#   --cpu N            the core they run on (1, or 0 if there is only one)
#   --build DIR        run the bench_* programs of this CMake build; without it, they are compiled
#                      here with $CXX $CXXFLAGS (g++ -std=c++20 -O2 -DNDEBUG)
#   --gate[=RATIO]     fail when rondo is over RATIO times the limit (1.15)
#   --instructions     count instructions per unit with callgrind instead of measuring time
#   --save FILE        keep the lines that the contenders printed
#   --json FILE        the report for a machine to read
#   --charts DIR       draw the charts of it there (see charts.py; needs matplotlib)
#
# A contender that exits with 77 was skipped and says why. To narrow a run: BENCH_ROW=fib. With
# --peers a contender takes 5 samples of each row, and not 25: BENCH_SAMPLES=25 to have those.
# Contenders in Python are run by $PYTHON (/usr/bin/python3, which has the system's packages).

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

rounds='' cpu='' build='' gate='' save='' json='' charts='' instructions='' peers='' questions=()
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift ;;
    --cpu) cpu=$2; shift ;;
    --build) build=$(cd "$2" && pwd); shift ;;
    --gate) gate=1.15 ;;
    --gate=*) gate=${1#*=} ;;
    --instructions) instructions=1 ;;
    --save) save=$2; shift ;;
    --json) json=$2; shift ;;
    --charts) charts=$2; shift ;;
    --peers) peers=1 ;;
    -h | --help) sed -n '3,/^$/{s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    -*) echo "run.sh: no option $1, try --help" >&2; exit 2 ;;
    *) questions+=("$1") ;;
  esac
  shift
done
[ -n "$cpu" ] || cpu=$(($(nproc) > 1 ? 1 : 0))
if [ ${#questions[@]} -eq 0 ]; then
  questions=(task when_all sync channel nop file_read echo)
  [ -z "$peers" ] || questions+=(timers post idle_memory compile)
fi
[ -n "$rounds" ] || rounds=$([ -n "$peers" ] && echo 3 || echo 5)
[ -z "$peers" ] || export BENCH_SAMPLES=${BENCH_SAMPLES:-5}

"$root/cmake/install-packages.sh" benchmarks ${peers:+peers} ||
  echo "run.sh: goes on without what is missing" >&2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -z "$charts" ] || json=${json:-$work/json}

# ---- The programs: one per contender -------------------------------------------------------------

export CXX=${CXX:-g++}
export CXXFLAGS=${CXXFLAGS:--std=c++20 -O2 -DNDEBUG}
[ -n "${PYTHON:-}" ] || PYTHON=$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)
export PYTHON PYTHONDONTWRITEBYTECODE=1

# What peers include (<asio.hpp>, <asio/...>), the Debian package that has it, and its flags. Asio 1.22
# does not know that clang has coroutines.
libraries='
asio libasio-dev -DASIO_HAS_CO_AWAIT -DASIO_HAS_STD_COROUTINE
uv   libuv1-dev  -luv
'

program() { # question contender source
  local name=bench_$1_$2 extra='' library package flags header
  if [ "${3##*.}" = py ]; then
    echo "$3"
  elif [ "${3##*.}" = go ]; then
    if ! command -v go >/dev/null; then
      echo "skipped   $1/$2: needs go (golang-go)" >>"$work/skipped"
      return 77
    fi
    mkdir "$work/$name.sources"
    cp "$here/support/bench.go" "$3" "$work/$name.sources"
    (cd "$work/$name.sources" && go build -o "$work/$name" ./*.go) >&2 && echo "$work/$name"
  elif [ -n "$build" ]; then
    find "$build" -name "$name" -type f -perm -u+x | head -n 1
  else
    while read -r library package flags; do
      [ -n "$library" ] || continue
      header=$(sed -n "s|^#include <\($library[./].*\)>.*|\1|p" "$3" | head -n 1)
      [ -n "$header" ] || continue
      if ! "$CXX" -x c++ -E -include "$header" /dev/null >/dev/null 2>&1; then
        echo "skipped   $1/$2: needs <$header> ($package)" >>"$work/skipped"
        return 77
      fi
      extra+=" $flags"
    done <<<"$libraries"
    # shellcheck disable=SC2086
    taskset -c "$cpu" "$CXX" $CXXFLAGS -pthread -I"$root/include" "$3" -luring $extra \
      -o "$work/$name" >&2 && echo "$work/$name"
  fi
}

contenders=() # question:contender:program
for question in "${questions[@]}"; do
  [ -d "$here/$question" ] || { echo "run.sh: no question $question in $here" >&2; exit 2; }
  sources=("$here/$question"/*.cpp)
  [ -z "$peers" ] || sources+=("$here/$question"/peers/*.{cpp,py,go})
  for source in "${sources[@]}"; do
    [ -e "$source" ] || continue
    contender=$(basename "${source%.*}")
    status=0
    path=$(program "$question" "$contender" "$source") || status=$?
    if [ "$status" != 77 ] && [ -z "$path" ]; then
      echo "run.sh: $source has no program, it is left out" >&2
    elif [ "$status" != 77 ]; then
      contenders+=("$question:$contender:$path")
    fi
  done
done
[ ${#contenders[@]} -gt 0 ] || { echo "run.sh: nothing to run" >&2; exit 2; }

# ---- Where and with what -------------------------------------------------------------------------

if [ -n "$build" ]; then
  compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[^=]*=//p' "$build/CMakeCache.txt")
  command=$(grep -m 1 -o '"command": ".*bench_.*"' "$build/compile_commands.json" 2>/dev/null |
    sed 's/"command": "\(.*\)"/\1/; s/ -o .*//' || true)
else
  compiler=$CXX
  command="$CXX $CXXFLAGS -pthread -Iinclude benchmarks/QUESTION/CONTENDER.cpp -luring"
fi
echo "kernel    $(uname -sr), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
echo "compiler  $("$compiler" --version | head -n 1)"
echo "built     ${command:-by $build}"

# ---- Instructions: the difference of two run lengths, so that starting up is not counted ---------

if [ -n "$instructions" ]; then
  counted() { # program row samples
    BENCH_ROW=$2 BENCH_SAMPLES=$3 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" \
      2>&1 >/dev/null | sed -n 's/.*Collected : //p'
  }
  echo "counted   user-space instructions per unit, callgrind"
  echo
  for entry in "${contenders[@]}"; do
    IFS=: read -r question contender path <<<"$entry"
    [ "${path##*.}" != py ] || continue
    BENCH_SAMPLES=1 "$path" >"$work/rows" || continue
    while read -r _ row _ _ _ units in; do
      [ -z "$in" ] || continue
      short=$(counted "$path" "$row" 1)
      long=$(counted "$path" "$row" 2)
      printf '%-10s %-14s %-12s %10.1f\n' "$question" "$row" "$contender" \
        "$(awk "BEGIN { print ($long - $short) / $units }")"
    done <"$work/rows"
  done
  exit 0
fi

# ---- Time ----------------------------------------------------------------------------------------

echo "ran       taskset -c $cpu PROGRAM, $rounds rounds, interleaved"
if [ -n "$charts" ] && ! "$PYTHON" -c 'import matplotlib' 2>/dev/null; then
  echo "skipped   charts: needs matplotlib (python3-matplotlib)" >>"$work/skipped"
  charts=''
fi
[ ! -e "$work/skipped" ] || cat "$work/skipped"
lines=${save:-$work/lines}
: >"$lines"
for round in $(seq "$rounds"); do
  for entry in "${contenders[@]}"; do
    IFS=: read -r question contender path <<<"$entry"
    status=0
    interpreter=$([ "${path##*.}" != py ] || echo "$PYTHON")
    taskset -c "$cpu" $interpreter "$path" >"$work/out" 2>"$work/err" || status=$?
    case $status in
      0) sed "s/^/$round /" "$work/out" >>"$lines" ;;
      77) [ "$round" -gt 1 ] || echo "skipped   $question/$contender: $(cat "$work/err")" ;;
      *) echo "run.sh: $question/$contender failed ($status): $(cat "$work/err")" >&2; exit 3 ;;
    esac
  done
done
echo
status=0
python3 "$here/report.py" ${gate:+--gate "$gate"} ${json:+--json "$json"} "$lines" || status=$?
if [ -n "$charts" ]; then
  echo
  "$PYTHON" "$here/charts.py" --into "$charts" "$json"
fi
exit "$status"
