#!/usr/bin/env bash
# Proves that the plugin works with other versions of nbdkit than the one installed: built with the
# headers of each, it runs in both, and the plugin under test runs in each.
# Usage: bash test-memory-versions.sh [SUITE]...     of Debian; bullseye, trixie and sid when none is named
#
# The packages of a suite are unpacked in a directory, with all that they need, and run from there:
# nothing is installed. A suite that cannot be had is left out, and the test is skipped when that holds
# for all.
. "$(dirname "$0")/functions.sh"
requires apt-get dpkg-deb cmake ninja nbdsh
source=${RAMDISK_SOURCE_DIR:-$(dirname "$0")/../..}
# Where this system has its own packages from.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | sed -n 1p)}
[ -n "$mirror" ] || skip "apt has no source of packages"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || skip "there is no $keys"
[ $# -gt 0 ] || set -- bullseye trixie sid

# build SUITE: the plugin as $dir/SUITE.so, with the nbdkit headers of that suite. They take each other's
# place, with the time of now, so that only what includes them is built again.
build() {
  mkdir -p "$dir/headers"
  cp "$dir/$1-root"/usr/include/nbdkit*.h "$dir/headers"
  cmake -S "$source" -B "$dir/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS="-I$dir/headers" -DRAMDISK_TESTS=OFF -DRAMDISK_BENCH=OFF >"$dir/log" 2>&1 &&
    cmake --build "$dir/build" >>"$dir/log" 2>&1 || { tail -n 80 "$dir/log"; fail "build for $1"; }
  cp "$dir/build/nbdkit-memory-plugin.so" "$dir/$1.so"
}

# fetch SUITE: unpacks its nbdkit into $dir/SUITE-root and makes $dir/SUITE-bin/nbdkit, which runs it. One
# of an older system works with the libraries of this one; a newer one brings its own.
fetch() {
  local apt=$dir/$1-apt root=$dir/$1-root package options libc run
  mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$root/usr/lib64" "$root/usr/lib"
  ln -s usr/lib64 usr/lib "$root"
  echo "deb [signed-by=$keys] $mirror $1 main" >"$apt/list"
  touch "$apt/status"
  options=(-q -y -o "Dir::Etc::sourcelist=$apt/list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State=$apt" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
    -o APT::Sandbox::User="$(id -un)" -o APT::Architectures="$(dpkg --print-architecture)"
    -o Debug::NoLocking=1 -o Acquire::Languages=none)
  timeout 300 apt-get "${options[@]}" update && timeout 300 apt-get "${options[@]}" --download-only \
    --no-install-recommends install nbdkit nbdkit-plugin-dev libzstd1 libstdc++6 || return 1
  for package in "$apt"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -C "$root" -xf - --keep-directory-symlink
  done
  run=$root/usr/$(cd "$root/usr" && echo *bin/nbdkit)
  libc=$(dpkg-deb --field "$apt"/archives/libc6_*.deb Version)
  if dpkg --compare-versions "$libc" gt "$(dpkg-query -W -f '${Version}\n' libc6 | sed -n 1p)"; then
    run="$(echo "$root"/lib64/ld-linux*) --library-path $(dirname "$root"/usr/lib/*/libzstd.so.1) $run"
  fi
  mkdir "$dir/$1-bin"
  cat >"$dir/$1-bin/nbdkit" <<SHIM
#!/bin/sh
exec $run "\$@"
SHIM
  chmod +x "$dir/$1-bin/nbdkit"
}

# try PLUGIN BUILT-WITH: with the nbdkit that is first in the path, all allocators, the statistics and
# images.
try() {
  local allocator how errors
  plugin=$1
  expect_lines "$1" "$(dump_plugin)" '^ramdisk_version=' '^zstd='
  for allocator in $(allocators); do
    start_nbdkit 64M "allocator=$allocator" stats-export=stats
    check_disk "$allocator"
    nbdsh -u "nbd+unix:///stats?socket=$socket" \
      -c 'import json; assert json.loads(h.pread(h.get_size(), 0))["size_bytes"] == 64 << 20'
    stop_nbdkit
    # What is saved at the end is loaded at the start.
    rm -f "$dir/disk.img"
    start_nbdkit 8M "allocator=$allocator" "save=$dir/disk.img"
    nbdsh -u "$uri" -c 'h.pwrite(b"kept" * 1000000, 4097)'
    stop_nbdkit
    start_nbdkit "allocator=$allocator" "image=$dir/disk.img"
    nbdsh -u "$uri" -c 'assert h.pread(4000000, 4097) == b"kept" * 1000000' -c 'h.pwrite(b"new", 5)'
    stop_nbdkit
    cmp -s -n 3 -i 5:0 "$dir/disk.img" - <<<new || fail "allocator=$allocator: not saved again"
  done
  # What goes wrong after the fork is an error on the command line all the same.
  head -c 8000000 /dev/urandom >"$dir/noise.img"
  for how in "" -f --run=true; do
    # shellcheck disable=SC2086  # no word, or one
    errors=$(nbdkit $how -U "$(fresh_socket)" "$plugin" "load=$dir/noise.img" max-memory=4M 2>&1) &&
      fail "nbdkit $how accepts an image that does not fit"
    expect_same "nbdkit $how: lines" 1 "$(grep -c 'does not fit into memory' <<<"$errors")"
  done
  echo "built with $2, run in $(nbdkit --version): OK"
}

under_test=$(realpath "$plugin")
tried=
path=$PATH
for suite; do
  if ! fetch "$suite" >"$dir/log" 2>&1; then
    tail -n 3 "$dir/log"
    echo "left out: nbdkit of $suite cannot be had"
    continue
  fi
  build "$suite"
  try "$dir/$suite.so" "the headers of $suite"
  PATH=$dir/$suite-bin:$path
  hash -r
  try "$dir/$suite.so" "the headers of $suite"
  try "$under_test" "the headers installed here"
  PATH=$path
  hash -r
  tried+=" $suite"
done
[ -n "$tried" ] || skip "no other version of nbdkit can be had"
