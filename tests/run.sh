#!/bin/sh
# Sets up, builds and runs all the tests. Complete on a bare Debian 12, as root.
# Usage: sh tests/run.sh [STAGE]...      Stages, in this order when none is named:
#   lint     formatting, clang-tidy, shell scripts
#   clang    build with clang and its thread-safety analysis; unit tests
#   nozstd   build without libzstd; unit tests
#   asan     unit and conformance tests under the address and undefined-behaviour sanitizers
#   tsan     the same under the thread sanitizer
#   release  everything: units, conformance, through the wire, through real clients
# Every stage runs, whatever became of the one before. Exits with 1 when any has failed.
set -u
cd "$(dirname "$0")/.." || exit 1

jobs=$(nproc)
under= # a command to run the tests under
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"

# build PRESET [TARGET]... ; warnings are errors here, for a user they are not.
build() {
  preset=$1
  shift
  cmake --preset "$preset" -DRAMDISK_WERROR=ON -DRAMDISK_TESTS=ON -DRAMDISK_BENCH=ON &&
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
  cmake --preset clang -B build/lint -DRAMDISK_TESTS=OFF -DRAMDISK_BENCH=OFF &&
    run-clang-tidy -quiet -j "$jobs" -p build/lint src/ || bad=1
  return $bad
}

stage_clang() { build clang && check clang -L unit -j "$jobs"; }
stage_nozstd() { build nozstd memory_plugin unit_test && check nozstd -L unit -j "$jobs"; }
stage_asan() {
  build asan unit_test conformance_test && check asan -L 'unit|conformance' -j "$jobs"
}

# The thread sanitizer of gcc 12 does not start where the kernel spreads addresses widely.
stage_tsan() {
  ! setarch -R true 2>/dev/null || under='setarch -R'
  build tsan unit_test conformance_test && check tsan -L 'unit|conformance' -j "$jobs"
}

# One at a time: a server and its clients already use the whole machine.
stage_release() { build release && check release -j 1; }

[ $# -gt 0 ] || set -- lint clang nozstd asan tsan release
for stage; do
  case $stage in
    lint | clang | nozstd | asan | tsan | release) ;;
    *) echo "tests/run.sh: no such stage: $stage" >&2; exit 2 ;;
  esac
done

echo "== setup"
sh tests/setup.sh tests || exit 1

failed=
for stage; do
  printf '\n== %s\n' "$stage"
  start=$(date +%s)
  if ("stage_$stage"); then
    # Nothing follows the last stage: a log ends with the summary of its tests.
    [ "$stage" = release ] || echo "== $stage passed in $(($(date +%s) - start)) s"
  else
    echo "== $stage FAILED"
    failed="$failed $stage"
  fi
done
[ -z "$failed" ] || { echo "FAILED:$failed"; exit 1; }
