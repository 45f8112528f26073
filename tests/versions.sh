#!/usr/bin/env bash
# Proves that the plugin works with other versions of nbdkit than the one installed: built with the
# headers of each, it runs in both, and so does one built with the installed headers.
# Usage: bash tests/versions.sh [SUITE]...     of Debian; trixie and sid when none is named
#
# The packages of a suite are unpacked in a directory, with all that they need, and run from there by
# their own loader: nothing is installed. A suite that cannot be had is left out. Exits with 77 when
# that holds for all.
source=$(cd "$(dirname "$0")/.." && pwd)
export RAMDISK_PLUGIN=${RAMDISK_PLUGIN:-$source/build/release/nbdkit-memory-plugin.so}
. "$source/tests/clients/functions.sh"
requires apt-get dpkg-deb cmake ninja nbdsh
# Where this system has its own packages from.
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' | head -n 1)}
[ -n "$mirror" ] || skip "apt has no source of packages"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -e "$keys" ] || skip "there is no $keys"
[ $# -gt 0 ] || set -- trixie sid

# build NAME HEADERS: the plugin as $dir/NAME.so, with the nbdkit headers of that directory.
build() {
  nice -n 10 cmake -S "$source" -B "$dir/$1" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS="-I$2" -DRAMDISK_TESTS=OFF -DRAMDISK_BENCH=OFF >"$dir/log" 2>&1 &&
    nice -n 10 cmake --build "$dir/$1" -j 2 >>"$dir/log" 2>&1 || { tail -n 30 "$dir/log"; fail "build for $1"; }
  mv "$dir/$1/nbdkit-memory-plugin.so" "$dir/$1.so"
}

# fetch SUITE: unpacks its nbdkit into $dir/SUITE-root.
fetch() {
  local apt=$dir/$1-apt root=$dir/$1-root package options
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
  mkdir "$dir/$1-headers" "$dir/$1-bin"
  cp "$root"/usr/include/nbdkit*.h "$dir/$1-headers"
  cat >"$dir/$1-bin/nbdkit" <<SHIM
#!/bin/sh
exec "$(echo "$root"/lib64/ld-linux*)" --library-path "$(dirname "$(echo "$root"/usr/lib/*/libzstd.so.1)")" \\
  "$root/usr/$(cd "$root/usr" && echo *bin/nbdkit)" "\$@"
SHIM
  chmod +x "$dir/$1-bin/nbdkit"
}

# try PLUGIN: with the nbdkit that is first in the path, all allocators and the statistics.
try() {
  local allocator
  plugin=$dir/$1.so
  expect_lines "$1" "$(dump_plugin)" '^ramdisk_version=' '^zstd='
  for allocator in $(allocators); do
    start_nbdkit 64M "allocator=$allocator" stats-export=stats
    check_disk "$allocator"
    nbdsh -u "nbd+unix:///stats?socket=$socket" \
      -c 'import json; assert json.loads(h.pread(h.get_size(), 0))["size_bytes"] == 64 << 20'
    stop_nbdkit
  done
  echo "built with the headers of $1, run in $(nbdkit --version): OK"
}

build installed /usr/include/nbdkit-none
try installed
tried=
path=$PATH
for suite; do
  if ! fetch "$suite" >"$dir/log" 2>&1; then
    tail -n 3 "$dir/log"
    echo "left out: nbdkit of $suite cannot be had"
    continue
  fi
  build "$suite" "$dir/$suite-headers"
  try "$suite"
  PATH=$dir/$suite-bin:$path
  hash -r
  try "$suite"
  try installed
  PATH=$path
  hash -r
  tried+=" $suite"
done
[ -n "$tried" ] || skip "no other version of nbdkit can be had"
