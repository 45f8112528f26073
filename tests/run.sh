#!/bin/sh
# Sets up, builds and runs all the tests. Complete on a bare Debian 12, as root.
# Usage: sh tests/run.sh [STAGE]...      Stages, in this order when none is named:
#   lint     formatting, clang-tidy, libc++, shell scripts, packaging
#   clang    build with clang and its thread-safety analysis; unit tests
#   nozstd   build without libzstd; unit tests
#   asan     units, conformance, hostile clients and stops under the address and undefined-behaviour sanitizers
#   tsan     units and conformance under the thread sanitizer
#   fuzz     disks and parameters under random requests for a minute each (RAMDISK_FUZZ_SECONDS)
#   i386     units and conformance on a 32-bit machine
#   s390x    those about bytes and words on a big-endian one, which is emulated
#   release  everything: units, conformance, through the wire, through real clients
# Every stage runs, whatever became of the one before. Exits with 1 when any has failed; one that lacks
# what only a package server has (compilers and libraries of other machines) is skipped.
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=$(nproc)
sanitized='unit_test conformance_test disk_replay limit_replay config_replay' # what the sanitizers see
under= # a command to run the tests under
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

# build PRESET [TARGET]... ; warnings are errors here, for a user they are not. All invariants are checked,
# in the plugin too, which costs time; `cmake --preset release` alone goes back to a build without.
build() {
  preset=$1
  shift
  cmake --preset "$preset" -DRAMDISK_WERROR=ON -DRAMDISK_CHECKS=ON -DRAMDISK_TESTS=ON \
    -DRAMDISK_BENCH=ON &&
    cmake --build "build/$preset" -j "$jobs" --target "${@:-all}"
}

# check PRESET [CTEST-OPTION]... ; a selection that holds no test is a failure.
check() {
  preset=$1
  shift
  $under ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --no-label-summary "$@"
}

stage_lint() {
  bad=0
  find include src tests '(' -name '*.cc' -o -name '*.h' ')' \
    -exec clang-format --dry-run --Werror '{}' + || bad=1
  for script in tests/*.sh; do "$(sed -n '1s|.*[/ ]||p' "$script")" -n "$script" || bad=1; done
  for script in tests/clients/*.sh .ci/run; do bash -n "$script" || bad=1; done
  python3 tests/lint-pipelines.py || bad=1
  for script in .packaging/debian/*.in .packaging/alpine/APKBUILD; do sh -n "$script" || bad=1; done
  # The other C++ library has less of C++20 than gcc's.
  find src -name '*.cc' ! -name '*_test.cc' -exec clang++ -std=c++20 -stdlib=libc++ -fsyntax-only \
    -Wall -Wextra -Werror -Iinclude -Isrc -DRAMDISK_HAVE_ZSTD=1 '-DRAMDISK_VERSION=""' '{}' + || bad=1
  rpmspec --parse .packaging/rpm/*.spec >/dev/null || bad=1
  cmake --preset clang -B build/lint -DRAMDISK_TESTS=OFF -DRAMDISK_BENCH=OFF &&
    run-clang-tidy -quiet -j "$jobs" -p build/lint src/ || bad=1
  return $bad
}

stage_clang() { build clang && check clang -L unit -j "$jobs"; }
stage_nozstd() { build nozstd memory_plugin unit_test && check nozstd -L unit -j "$jobs"; }
# shellcheck disable=SC2086  # a list, here and below
stage_asan() {
  build asan $sanitized wire_hostile_test wire_hostile_connections_test wire_stop_test &&
    check asan -L 'unit|conformance|sanitized' -j "$jobs"
}

# The thread sanitizer of gcc 12 does not start where the kernel spreads addresses widely.
stage_tsan() {
  ! setarch -R true 2>/dev/null || under='setarch -R'
  build tsan $sanitized && check tsan -L 'unit|conformance' -j "$jobs"
}

stage_fuzz() { sh tests/fuzz.sh "${RAMDISK_FUZZ_SECONDS:-60}"; }
stage_i386() { sh tests/portability.sh i386; }
# An emulator takes an hour for all of them, so these are the ones that are about bytes and words.
stage_s390x() {
  units='Codec|StoredObject|ObjectStore|PackedPagesTest|PageWord|PageTable|RadixTree|Arena|Budget'
  sh tests/portability.sh s390x -R "^($units)[.]|^All/(RandomOps|Extents|Regression)[.]|disk_replay"
}

# One at a time: a server and its clients already use the whole machine.
stage_release() { build release && check release -j 1; }

[ $# -gt 0 ] || set -- lint clang nozstd asan tsan fuzz i386 s390x release
for stage; do
  case $stage in
    lint | clang | nozstd | asan | tsan | fuzz | i386 | s390x | release) ;;
    *) echo "tests/run.sh: no such stage: $stage" >&2; exit 2 ;;
  esac
done

echo "== setup"
sh tests/setup.sh tests || exit 1

failed=
for stage; do
  printf '\n== %s\n' "$stage"
  start=$(date +%s)
  ("stage_$stage")
  case $? in
    # Nothing follows the last stage: a log ends with the summary of its tests.
    0) [ "$stage" = release ] || echo "== $stage passed in $(($(date +%s) - start)) s" ;;
    77) echo "== $stage SKIPPED, see above" ;;
    *)
      echo "== $stage FAILED"
      failed="$failed $stage"
      ;;
  esac
done
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
