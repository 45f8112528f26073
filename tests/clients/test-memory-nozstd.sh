#!/usr/bin/env bash
# Proves that the plugin builds without libzstd, says so, and does all the rest.
. "$(dirname "$0")/functions.sh"
requires cmake nbdinfo nbdcopy objdump
source=${RAMDISK_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}

run() { "$@" >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; fail "$*"; }; }
run cmake -S "$source" -B "$dir/build" ${RAMDISK_GENERATOR:+-G "$RAMDISK_GENERATOR"} \
  -DRAMDISK_ZSTD=OFF -DRAMDISK_TESTS=OFF -DRAMDISK_BENCH=OFF
run cmake --build "$dir/build" -j 2
plugin=$dir/build/nbdkit-memory-plugin.so

expect_lines "--dump-plugin" "$(dump_plugin)" '^zstd=no$' '^ramdisk_version='
! dump_plugin | grep zstd_version || fail "there is a version of what is not there"
! objdump -p "$plugin" | grep zstd || fail "libzstd is needed all the same"

errors=$(errors_of 1M allocator=zstd)
[ "$(wc -l <<<"$errors")" -eq 1 ] || fail "not one line: $errors"
expect_lines "allocator=zstd" "$errors" 'allocator=zstd.*without zstd.*sparse, malloc'

head -c 20000000 /dev/urandom >"$dir/disk.img"
for allocator in sparse malloc; do
  start_nbdkit 20000000 "allocator=$allocator"
  nbdcopy "$dir/disk.img" "$uri"
  nbdcopy "$uri" - | cmp - "$dir/disk.img" || fail "allocator=$allocator: the copy differs"
  stop_nbdkit
done
