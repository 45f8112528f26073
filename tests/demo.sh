#!/bin/sh
# Shows the plugin at work: a real filesystem goes into a compressed RAM disk and comes back.
# Usage: sh tests/demo.sh        Complete on a bare Debian 12, as root; ends with OK.
#   RAMDISK_PLUGIN  a plugin to show, instead of building one
set -eu
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }
rss_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"; }

# Runs a command silently, unless it fails.
quiet() {
  "$@" >"$work/log" 2>&1 && return
  tail -n 40 "$work/log" >&2
  fail "this failed: $*"
}

# A progress bar is for a terminal: in a log it is hundreds of lines.
copy() {
  if [ -t 1 ]; then
    nbdcopy -p "$@"
    echo
  else
    nbdcopy "$@"
  fi
}

work=
server=
clean_up() {
  status=$?
  trap - EXIT
  if [ -n "$server" ]; then
    kill "$server" 2>/dev/null || :
    wait "$server" 2>/dev/null || :
  fi
  [ -z "$work" ] || rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# Not in /tmp: that is often memory itself.
work=$(mktemp -d -p /var/tmp)

step "Setting up: what the demo needs"
sh tests/setup.sh demo

plugin=${RAMDISK_PLUGIN:-}
if [ -z "$plugin" ]; then
  step "Building the plugin"
  quiet cmake --preset release -B build/demo -DRAMDISK_TESTS=OFF -DRAMDISK_BENCH=OFF
  quiet cmake --build build/demo
  plugin=$PWD/build/demo/nbdkit-memory-plugin.so
fi
nbdkit "$plugin" --dump-plugin | grep -E '^(path|name|zstd|zstd_version|ramdisk_version)='

step "Making a 1 GiB ext4 image from files of this system"
mkdir "$work/files"
total=0
for dir in /usr/include /usr/share/perl /usr/lib/gcc /usr/share/doc /usr/share/locale /usr/bin; do
  [ -d "$dir" ] || continue
  size=$(du -sm "$dir" | cut -f1)
  [ $((total + size)) -le 400 ] || continue
  mkdir -p "$work/files$dir"
  # Files that vanish or cannot be read while they are copied do not matter here.
  cp -a "$dir/." "$work/files$dir/" 2>/dev/null || :
  total=$((total + size))
  echo "$dir: $size MiB"
done
[ "$total" -gt 0 ] || fail "found no files to put into the image"
truncate -s 1G "$work/disk.img"
quiet mkfs.ext4 -q -F -d "$work/files" "$work/disk.img"
rm -rf "$work/files"

step "Starting nbdkit with a zstd disk"
nbdkit -f --exit-with-parent -U "$work/socket" -P "$work/pid" "$plugin" 1G allocator=zstd &
server=$!
tries=0
until [ -s "$work/pid" ]; do
  kill -0 "$server" 2>/dev/null || fail "nbdkit did not start"
  tries=$((tries + 1))
  [ "$tries" -le 300 ] || fail "nbdkit is not ready after 30 seconds"
  sleep 0.1
done
uri="nbd+unix:///?socket=$work/socket"
before=$(rss_kib "$server")
echo "nbdkit runs as process $server and takes $before KiB of memory"

step "Copying the image in"
copy "$work/disk.img" "$uri"

step "What the disk is, what it stores and what that takes"
nbdinfo "$uri" | grep -E 'description|export-size|content' || :
nbdinfo --map --totals "$uri"
after=$(rss_kib "$server")
stored=$(nbdinfo --map --totals "$uri" | awk '$NF == "data" { print $1 }')
[ "${stored:-0}" -gt 0 ] || fail "the disk stores nothing"
figures=$(awk -v stored="$stored" -v before="$before" -v after="$after" 'BEGIN {
  printf "%.1f MiB of data are stored in %.1f MiB of memory: %.2f to 1\n",
         stored / 1048576, (after - before) / 1024, stored / 1024 / (after - before)
}')
echo "$figures"

step "Copying the image out"
copy "$uri" "$work/copy.img"

step "Comparing the two images"
cmp "$work/disk.img" "$work/copy.img" || fail "the copy differs"
echo "identical"

step "Checking the filesystem in the copy"
e2fsck -fn "$work/copy.img" || fail "the filesystem is damaged"

step "Result"
echo "$figures"
echo "OK: the copy is identical, and its filesystem is clean"
