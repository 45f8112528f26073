#!/bin/sh
# Builds and tests in the bare root tree of another release, as somebody does who has nothing but that:
# warnings are errors, the units run, and on Debian the tests through the wire.
# Usage: sh tests/systems.sh debian13|ubuntu22 [MIRROR]
#   debian13  g++ 14, clang 19, libzstd 1.5.7, nbdkit 1.42
#   ubuntu22  CMake 3.22 and g++ 12: the oldest that are supported
# As root, with debootstrap and a network; exits with 77 where the tree cannot be made. The tree is kept
# in build/systems, or where RAMDISK_SYSTEMS says, and costs minutes the first time only.
set -eu
cd "$(dirname "$0")/.."

system=${1:-}
case $system in
  debian13) suite=trixie components=main ;;
  ubuntu22) suite=jammy components=main,universe ;;
  *) echo "usage: sh tests/systems.sh debian13|ubuntu22 [MIRROR]" >&2; exit 2 ;;
esac
skip() { echo "SKIP: $*"; exit 77; }
[ "$(id -u)" -eq 0 ] || skip "this needs root"
command -v debootstrap >/dev/null || skip "debootstrap is not installed"
# What is mounted here goes with the last process that sees it.
if [ -z "${RAMDISK_OWN_MOUNTS:-}" ]; then
  RAMDISK_OWN_MOUNTS=1 exec unshare --mount --propagation private sh "$0" "$@"
fi

trees=${RAMDISK_SYSTEMS:-$PWD/build/systems}
root=$trees/$system
mkdir -p "$trees"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ ! -e "$root/complete" ]; then
  rm -rf --one-file-system "$root"
  echo "== $system: making the root tree"
  debootstrap --variant=minbase "--components=$components" "$suite" "$root" ${2:+"$2"} >"$log" 2>&1 ||
    { tail -n 20 "$log"; skip "the root tree cannot be made"; }
  touch "$root/complete"
fi
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"

# What git knows, with what has been changed since the last commit. Files that did not change keep their
# times, so that a second run builds what did.
project=$root/root/project
tree=$(git stash create 2>/dev/null) || :
mkdir -p "$project" "$project.new"
rm -rf "$project.new"
mkdir "$project.new"
git archive "${tree:-HEAD}" | tar -C "$project.new" -xf -
[ ! -d "$project/build" ] || mv "$project/build" "$project.new/build"
find "$project.new" -path "$project.new/build" -prune -o -type f -print | while read -r file; do
  old=$project${file#"$project.new"}
  ! cmp -s "$file" "$old" || touch -r "$old" "$file"
done
rm -rf "$project"
mv "$project.new" "$project"

# inside COMMAND...: in the project's directory in that tree. A server must not be in anybody's way.
inside() {
  chroot "$root" env HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    sh -euc "cd /root/project; $*"
}
# step TITLE COMMAND...: what it prints is shown if it fails.
step() {
  title=$1
  shift
  start=$(date +%s)
  inside "$@" >"$log" 2>&1 || { tail -n 60 "$log"; echo "== $system: $title FAILED"; exit 1; }
  echo "== $system: $title: $(($(date +%s) - start)) s"
}
jobs=$(nproc)
options='-DRAMDISK_WERROR=ON -DRAMDISK_CHECKS=ON -DRAMDISK_BENCH=OFF'
summary() { grep -E 'tests passed|tests failed|Total Test time' "$log" || :; }

step "what the demo needs" sh tests/setup.sh demo
case $system in
  debian13)
    step "what the tests need" apt-get install -y --no-install-recommends clang libgmock-dev libgtest-dev \
      libnbd-dev procps util-linux
    inside 'g++ --version; clang --version; cmake --version; nbdkit --version; pkg-config --modversion libzstd' |
      grep -E '[0-9][.][0-9]' | grep -v Target
    step "everything by g++" "cmake --preset release $options && cmake --build build/release -j $jobs"
    step "units and wire" "ctest --test-dir build/release -L 'unit|wire' --no-tests=error \
      --no-label-summary --output-on-failure -j $((jobs + 1))"
    summary
    step "plugin and units by clang" "cmake --preset clang $options &&
      cmake --build build/clang -j $jobs --target memory_plugin unit_test"
    step "units" "ctest --test-dir build/clang -L unit --no-tests=error --no-label-summary \
      --output-on-failure -j $((jobs + 1))"
    summary
    ;;
  ubuntu22)
    step "what the tests need" apt-get install -y --no-install-recommends g++-12 libgmock-dev libgtest-dev \
      libnbd-dev procps util-linux
    inside 'g++-12 --version; cmake --version; nbdkit --version; pkg-config --modversion libzstd' |
      grep -E '[0-9][.][0-9]'
    step "plugin and units by g++ 12" "cmake --preset release -DCMAKE_CXX_COMPILER=g++-12 $options &&
      cmake --build build/release -j $jobs --target memory_plugin man_page unit_test"
    step "units" "ctest --test-dir build/release -L unit --no-tests=error --no-label-summary \
      --output-on-failure -j $((jobs + 1))"
    summary
    step "install" 'DESTDIR=/tmp/stage cmake --install build/release &&
      nbdkit "/tmp/stage$(nbdkit --dump-config | sed -n s/^plugindir=//p)/nbdkit-memory-plugin.so" --dump-plugin |
      grep ramdisk_version'
    ;;
esac
