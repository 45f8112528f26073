#!/bin/sh
# Sets up, builds and runs tests. Complete on a bare Debian 12, as root.
# Usage: sh tests/run.sh [all | quick | STAGE...]
#   (nothing)  lint and usual: whether it works; 12 minutes on 2 CPUs
#   quick      the plugin and the units; two minutes
#   all        every stage but quick and usual, in the order below; an hour
# Stages:
#   lint     formatting, layers, names in documents, that the faults of mutants.py apply, shell scripts,
#            packaging
#   tidy     clang-tidy
#   clang    clang's warnings and thread-safety analysis for everything, libc++ for the plugin; units
#   nozstd   build without libzstd; units
#   asan     units, conformance, hostile clients and stops under the address and undefined-behaviour sanitizers
#   tsan     units and conformance under the thread sanitizer
#   fuzz     disks and parameters under random requests, a minute (RAMDISK_FUZZ_SECONDS)
#   i386     units and conformance on a 32-bit machine
#   s390x    the tests about bytes and words on a big-endian machine, which is emulated
#   aarch64  the tests about threads, bytes and words on a 64-bit ARM machine, which is emulated
#   usual    units, conformance, through the wire, through real clients; but not what takes longest
#   release  everything: as usual, and packages, other nbdkits, filesystems, sandboxes, guests, every kind
#            of full disk, the short benchmark
# Every stage runs, whatever became of the one before, and prints how long it took and how much CPU time.
# Exits with 1 when any has failed; one that lacks what only a package server has (compilers and
# libraries of other machines) is skipped. The summary of the last stage's tests is printed last; or, if
# any stage has failed, what failed in each, in 25 lines or fewer, so that a log's end says why.
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=$(nproc)
sanitized='unit_test conformance_test disk_replay image_replay limit_replay config_replay' # what the sanitizers see
under= # a command to run the tests under
# These take minutes and are the same everywhere, so one stage has them all; where others leave them out,
# the table of full disks keeps its rows for sparse, noise and a mixture. (Sanitizers have none without
# recompression, whose code also runs with it, and the thread sanitizer has no trims of full disks.)
rows='All/FullDiskTest'
lengthy="$rows.*_text:$rows.*_executables:$rows.*_64M_*:ZstdGenerations.ThereIsAlwaysOneMore"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

case $# in
  0) set -- lint usual ;;
  1) [ "$1" != all ] || set -- lint tidy clang nozstd asan tsan fuzz i386 s390x aarch64 release ;;
esac
for stage; do
  case $stage in
    lint | tidy | quick | clang | nozstd | asan | tsan | fuzz | i386 | s390x | aarch64 | usual | release) ;;
    *) echo "tests/run.sh: no such stage: $stage" >&2; exit 2 ;;
  esac
done

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# configure PRESET [OPTION]... ; warnings are errors here, for a user they are not. All invariants are
# checked, in the plugin too, which costs time; `cmake --preset release` alone goes back to a build without.
configure() {
  preset=$1
  shift
  cmake --preset "$preset" -DRAMDISK_WERROR=ON -DRAMDISK_CHECKS=ON -DRAMDISK_TESTS=ON \
    -DRAMDISK_BENCH=ON "$@"
}

# build PRESET [TARGET]...
build() {
  configure "$1" || return
  preset=$1
  shift
  cmake --build "build/$preset" -j "$jobs" --target "${@:-all}"
}

# check PRESET [CTEST-OPTION]... ; a selection that holds no test is a failure. The summary is kept for
# the end of the stage.
check() {
  preset=$1
  shift
  {
    # Tests wait a third of their time, so there is one more of them than there are CPUs.
    $under ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --no-label-summary \
      -j $((jobs + 1)) "$@"
    echo $? >"$work/status"
  } | awk -v summary="$work/summary" '
    /^[0-9]+% tests passed/ { ends = 1 }
    ends { print >summary; next }
    { print; fflush() }'
  return "$(cat "$work/status")"
}

# The sanitizers' programs run many tests in one process, which CTest counts as one.
check_shards() {
  check "$@"
  status=$?
  $under sh tests/shards.sh "build/$1" unit_test conformance_test || status=1
  return "$status"
}

stage_lint() {
  bad=0
  find include src tests '(' -name '*.cc' -o -name '*.h' ')' \
    -exec clang-format --dry-run --Werror '{}' + || bad=1
  for script in tests/*.sh; do "$(sed -n '1s|.*[/ ]||p' "$script")" -n "$script" || bad=1; done
  for script in tests/clients/*.sh .ci/run; do bash -n "$script" || bad=1; done
  python3 tests/lint-pipelines.py || bad=1
  [ ! -d src/base ] || python3 tests/lint-layers.py || bad=1
  python3 tests/lint-design.py || bad=1
  python3 tests/mutants.py --check || bad=1
  for script in $(grep -rl '^#!/bin/sh' .packaging) .packaging/alpine/APKBUILD; do sh -n "$script" || bad=1; done
  rpmspec --parse .packaging/rpm/*.spec >/dev/null || bad=1
  return $bad
}

stage_tidy() {
  cmake --preset clang -B build/tidy -DRAMDISK_TESTS=OFF -DRAMDISK_BENCH=OFF &&
    run-clang-tidy -quiet -j "$jobs" -p build/tidy src/
}

stage_quick() { build release memory_plugin unit_test && check release -L unit; }

# Of the tests, only the units are built; for the others clang's opinion is enough. Neither uses the
# precompiled header, so a test that does not include what it needs shows here.
stage_clang() {
  configure clang -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON &&
    cmake --build build/clang -j "$jobs" --target memory_plugin unit_test || return
  bad=0
  python3 tests/syntax.py build/clang tests || bad=1
  # The other C++ library has less of C++20 than gcc's.
  find src -name '*.cc' ! -name '*_test.cc' -print0 | xargs -0 -n 4 -P "$jobs" \
    clang++ -std=c++20 -stdlib=libc++ -fsyntax-only -Wall -Wextra -Werror -Iinclude -Isrc \
    -DRAMDISK_HAVE_ZSTD=1 '-DRAMDISK_VERSION=""' || bad=1
  check clang -L unit || bad=1
  return $bad
}
stage_nozstd() { build nozstd memory_plugin unit_test && check nozstd -L unit; }
# shellcheck disable=SC2086  # a list
stage_asan() {
  build asan $sanitized wire_hostile_test wire_hostile_connections_test wire_stop_test &&
    check_shards asan -L 'unit|conformance|sanitized'
}

# The thread sanitizer of gcc 12 does not start where the kernel spreads addresses widely.
# shellcheck disable=SC2086
stage_tsan() {
  ! setarch -R true 2>/dev/null || under='setarch -R'
  # The model of the limit has trims as well, and in four threads.
  export GTEST_FILTER="-$lengthy:$rows.Trim*"
  build tsan $sanitized && check_shards tsan -L 'unit|conformance'
}

stage_fuzz() { sh tests/fuzz.sh "${RAMDISK_FUZZ_SECONDS:-60}"; }
stage_i386() { sh tests/portability.sh i386 "-$lengthy"; }
# An emulator takes an hour for all of them, so these are the ones that are about bytes and words.
stage_s390x() {
  units='Codec.*:StoredObject.*:SegmentStore.*:PageStoreTest.*:PageEntry.*'
  units="$units:PageTable.*:RadixTree.*:SlabAllocator.*:Budget.*:Cleaner*:Recompressor*:DiskState*"
  sh tests/portability.sh s390x "$units:All/RandomOps.*:All/Extents.*:All/Regression.*"
}
# Its own: atomic instructions, and weaker orders than those of x86.
stage_aarch64() {
  units='Codec.*:StoredObject.*:SegmentStore*:PageStore*:PageEntry.*:PageTable*:RadixTree*:SlabAllocator*'
  units="$units:BlockSizes/*:Purge.*:Budget*:SpareMemory*:Epoch*:SharedBytes*:WriteCache*:Dictionaries*"
  units="$units:Pool.*:Workers.*:Unlink*:AllocationBatch*:RetireBatch*:PopulateInParallel*"
  units="$units:Cleaner*:Recompressor*:DiskState*:SparseDisk*"
  sh tests/portability.sh aarch64 "$units:All/RandomOps.*:All/Extents.*:All/Regression.*"
}

# By ctest's own option: the list of tests that it keeps must have all of them for whoever runs it next.
stage_usual() {
  build release && check release -LE 'lengthy|bench' \
    -E "$(echo "$lengthy" | sed 's/[.]/[.]/g; s/[*]/.*/g; s/:/|/g')"
}
stage_release() { build release && check release; }

# report STAGE STATUS SECONDS: the time, from what `times` says of the stage's process (its children are
# in the second line), and then the summary.
report() {
  cpu=$(awk 'NR == 2 { gsub("s", ""); split($1, u, "m"); split($2, s, "m")
                       printf "%d", (u[1] + s[1]) * 60 + u[2] + s[2] + 0.5 }' "$work/times")
  case $2 in
    0) became=passed ;;
    77) became='SKIPPED, see above,' ;;
    *) became=FAILED ;;
  esac
  echo "== $1 $became in $3 s, $cpu s of CPU time"
  [ ! -e "$work/summary" ] || cat "$work/summary"
}

echo "== setup"
sh tests/setup.sh tests || exit 1

failed=
for stage; do
  printf '\n== %s\n' "$stage"
  rm -f "$work/summary" "$work/became"
  start=$(date +%s)
  (
    trap - EXIT
    "stage_$stage"
    echo $? >"$work/became"
    times >"$work/times"
  ) 2>&1 | tee "$work/log"
  status=$(cat "$work/became") || status=1
  report "$stage" "$status" $(($(date +%s) - start))
  case $status in
    0 | 77) ;;
    *)
      failed="$failed $stage"
      python3 tests/failures.py "$stage" "$work/log" >>"$work/failures"
      ;;
  esac
done
[ -z "$failed" ] || { echo; cat "$work/failures"; echo "FAILED:$failed"; exit 1; }
