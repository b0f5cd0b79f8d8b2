#!/usr/bin/env bash
# SPDX-License-Identifier: BSL-1.0
#
# Runs the contenders of each question interleaved (A B C A B C ...), on one core, and prints what
# each row costs and how many times the hand-written limit of the same round that is.
#
#   benchmarks/run.sh                     task, when_all, sync, channel, nop, file_read and echo
#   benchmarks/run.sh task nop            these
#   benchmarks/run.sh --gate              exit 1 if a row of rondo is over 1.15 times its limit
#
# Options:
#   --rounds N         how often each contender runs (5)
#   --cpu N            the core they run on (1, or 0 if there is only one)
#   --build DIR        run the bench_* programs of this CMake build; without it, they are compiled
#                      here with $CXX $CXXFLAGS (g++ -std=c++20 -O2 -DNDEBUG)
#   --gate[=RATIO]     fail when rondo is over RATIO times the limit (1.15)
#   --instructions     count instructions per unit with callgrind instead of measuring time
#   --save FILE        keep the lines that the contenders printed
#
# A contender that exits with 77 was skipped and says why. To narrow a run: BENCH_ROW=fib.

set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

rounds=5 cpu='' build='' gate='' save='' instructions='' questions=()
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=$2; shift ;;
    --cpu) cpu=$2; shift ;;
    --build) build=$(cd "$2" && pwd); shift ;;
    --gate) gate=1.15 ;;
    --gate=*) gate=${1#*=} ;;
    --instructions) instructions=1 ;;
    --save) save=$2; shift ;;
    -h | --help) sed -n '3,/^$/{s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    -*) echo "run.sh: no option $1, try --help" >&2; exit 2 ;;
    *) questions+=("$1") ;;
  esac
  shift
done
[ -n "$cpu" ] || cpu=$(($(nproc) > 1 ? 1 : 0))
[ ${#questions[@]} -gt 0 ] || questions=(task when_all sync channel nop file_read echo)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ---- The programs: one per contender -------------------------------------------------------------

CXX=${CXX:-g++}
CXXFLAGS=${CXXFLAGS:--std=c++20 -O2 -DNDEBUG}

program() { # question contender
  local name=bench_$1_$2
  if [ -n "$build" ]; then
    find "$build" -name "$name" -type f -perm -u+x | head -n 1
  else
    # shellcheck disable=SC2086
    taskset -c "$cpu" "$CXX" $CXXFLAGS -pthread -I"$root/include" "$here/$1/$2.cpp" -luring \
      -o "$work/$name" >&2 && echo "$work/$name"
  fi
}

contenders=() # question:contender:program
for question in "${questions[@]}"; do
  [ -d "$here/$question" ] || { echo "run.sh: no question $question in $here" >&2; exit 2; }
  for source in "$here/$question"/*.cpp; do
    contender=$(basename "$source" .cpp)
    path=$(program "$question" "$contender") || path=
    if [ -z "$path" ]; then
      echo "run.sh: $question/$contender.cpp has no program, it is left out" >&2
    else
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
    BENCH_SAMPLES=1 "$path" >"$work/rows" || continue
    while read -r _ row _ _ _ units; do
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
lines=${save:-$work/lines}
: >"$lines"
for round in $(seq "$rounds"); do
  for entry in "${contenders[@]}"; do
    IFS=: read -r question contender path <<<"$entry"
    status=0
    taskset -c "$cpu" "$path" >"$work/out" 2>"$work/err" || status=$?
    case $status in
      0) sed "s/^/$round /" "$work/out" >>"$lines" ;;
      77) [ "$round" -gt 1 ] || echo "skipped   $question/$contender: $(cat "$work/err")" ;;
      *) echo "run.sh: $question/$contender failed ($status): $(cat "$work/err")" >&2; exit 3 ;;
    esac
  done
done
echo
python3 "$here/report.py" ${gate:+--gate "$gate"} "$lines"
