#!/bin/sh
# Builds the four fuzzers (clang and libFuzzer, with the address and undefined-behaviour sanitizers)
# and runs all at a time, each beginning with what is kept in tests/fuzz/corpus.
# Usage: sh tests/fuzz.sh [SECONDS-PER-FUZZER]      60 unless told; an hour finds more
# What is found on the way lies in build/fuzz/found/NAME and is used again by the next run. Exits with
# 1 when an input fails, and says how to run that input again.
#
# The fewest inputs that reach all that has been reached, to be kept in place of the old ones:
#   mkdir new
#   build/fuzz/tests/fuzz/NAME_fuzzer -merge=1 new build/fuzz/found/NAME tests/fuzz/corpus/NAME
set -u
cd "$(dirname "$0")/.." || exit 1
seconds=${1:-60}

cmake --preset fuzz -DRAMDISK_WERROR=ON -DRAMDISK_TESTS=ON -DRAMDISK_BENCH=OFF &&
  cmake --build build/fuzz -j "$(nproc)" --target \
    disk_fuzzer image_fuzzer limit_fuzzer config_fuzzer || exit 1

# What a log tells: edges of the code and features that were reached, inputs that were run.
covered() { grep -o 'cov: [0-9]* ft: [0-9]*' "$1" | tail -n 1; }
executed() { sed -n 's/^stat::number_of_executed_units: *//p' "$1"; }

# Memory that comes back soon is in a cache, and the quarantine is still far larger than a page.
export ASAN_OPTIONS="${ASAN_OPTIONS:-quarantine_size_mb=8}"
# run NAME LONGEST-INPUT [OPTION]...
run() {
  name=$1 longest=$2
  shift 2
  program=build/fuzz/tests/fuzz/${name}_fuzzer
  found=build/fuzz/found/$name
  log=build/fuzz/$name.log
  mkdir -p "$found"
  echo "== $name: $seconds s, log in $log"
  if timeout $((seconds + 300)) "$program" -max_len="$longest" -max_total_time="$seconds" \
    -print_final_stats=1 -timeout=300 -artifact_prefix="build/fuzz/$name-" "$@" \
    "$found" "tests/fuzz/corpus/$name" >"$log" 2>&1 </dev/null; then
    echo "$name: $(executed "$log") executions, $(covered "$log"), no failure"
    return
  fi
  tail -n 60 "$log"
  input=$(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)
  echo "$name FAILED. Again: $program ${input:-(no input was written)}"
  return 1
}

bad=0
run disk 300 -len_control=1 & disk=$!
run image 200 -len_control=1 & image=$!
run limit 400 -len_control=1 & limit=$!
run config 256 -dict=tests/fuzz/config.dict & config=$!
for process in "$disk" "$image" "$limit" "$config"; do wait "$process" || bad=1; done
exit $bad
