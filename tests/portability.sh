#!/bin/sh
# Builds the unit and conformance tests, without the plugin itself, for another kind of machine, and
# runs them here. Complete on Debian 12 on x86-64, as root: installs a cross compiler, and zstd and
# the C++ library of that machine.
# Usage: sh tests/portability.sh i386|s390x|aarch64 [FILTER]     Exits with 77 when it cannot install them.
#   i386     32-bit; runs by itself
#   s390x    big-endian; runs under qemu, slowly
#   aarch64  64-bit ARM, with its own atomic instructions; runs under qemu, slowly
# FILTER selects tests as --gtest_filter does; without one, all run.
set -u
cd "$(dirname "$0")/.." || exit 1

case ${1:-} in
  i386) triplet=i386-linux-gnu packages='g++-i686-linux-gnu' ;;
  s390x) triplet=s390x-linux-gnu packages='g++-s390x-linux-gnu qemu-user' ;;
  aarch64) triplet=aarch64-linux-gnu packages='g++-aarch64-linux-gnu qemu-user' ;;
  *) echo "usage: sh tests/portability.sh i386|s390x|aarch64 [FILTER]" >&2; exit 2 ;;
esac
target=$1
export GTEST_FILTER="${2:-*}"
architecture=$target  # as Debian calls it
[ "$target" != aarch64 ] || architecture=arm64
packages="cmake googletest ninja-build pkg-config $packages libzstd-dev:$architecture
  libstdc++6:$architecture"
jobs=$(nproc)

# A package that is there for another machine, too, has a state for each.
missing=
for package in $packages; do
  case $(dpkg-query -W -f '${db:Status-Status} ' "$package" 2>/dev/null) in
    *installed*) ;;
    *) missing="$missing $package" ;;
  esac
done
if [ -n "$missing" ]; then
  echo "portability: installing$missing"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  dpkg --add-architecture "$architecture" || exit 77
  # One broken package source of many must not stop this: the install tells whether it mattered.
  apt-get -q update >"$log" 2>&1 </dev/null || echo "portability: apt-get update failed; trying without"
  # shellcheck disable=SC2086  # a list
  DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
    install -y --no-install-recommends $missing >"$log" 2>&1 </dev/null || {
    tail -n 30 "$log" >&2
    echo "SKIP: what is needed for $target cannot be installed (not root, or no network?)" >&2
    exit 77
  }
fi

build=build/$target
toolchain=$PWD/tests/portability/$target.cmake
export PKG_CONFIG_LIBDIR="/usr/lib/$triplet/pkgconfig"

# The test framework comes as source.
if [ ! -e "$build/googletest/lib/libgtest.a" ]; then
  cmake -S /usr/src/googletest -B "$build/googletest-build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_TOOLCHAIN_FILE="$toolchain" -DBUILD_GMOCK=OFF -DCMAKE_INSTALL_LIBDIR=lib \
    -DCMAKE_INSTALL_PREFIX="$PWD/$build/googletest" &&
    cmake --build "$build/googletest-build" -j "$jobs" --target install || exit 1
fi

# An emulator is slow to start, so each program there runs in one process for each CPU.
shards=0 programs='unit_test conformance_test disk_replay image_replay limit_replay' tests=.
[ "$target" = i386 ] || shards=$jobs programs='unit_test conformance_test disk_replay' tests='shard|disk_replay'

# shellcheck disable=SC2086  # a list
cmake -S . -B "$build/ramdisk" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$toolchain" \
  -DRAMDISK_PLUGIN=OFF -DRAMDISK_BENCH=OFF -DRAMDISK_WERROR=ON -DRAMDISK_CHECKS=ON \
  -DCMAKE_CXX_FLAGS_RELWITHDEBINFO='-O2 -g1 -DNDEBUG' '-DRAMDISK_TEST_FLAGS=-O1;-g0' \
  -DRAMDISK_TEST_SHARDS="$shards" -DGTest_DIR="$PWD/$build/googletest/lib/cmake/GTest" &&
  cmake --build "$build/ramdisk" -j "$jobs" --target $programs || exit 1
# Tests also wait, so there is one more of them than there are CPUs.
ctest --test-dir "$build/ramdisk" --output-on-failure --no-tests=error --no-label-summary \
  -L 'unit|conformance' -R "$tests" -j $((jobs + 1))
status=$?
[ "$shards" -eq 0 ] || EMULATOR=qemu-$target sh tests/shards.sh "$build/ramdisk" unit_test conformance_test || status=1
exit "$status"
