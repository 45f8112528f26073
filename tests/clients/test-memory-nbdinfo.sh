#!/usr/bin/env bash
# Proves that nbdinfo shows the disk, its block sizes, its map and the map's totals; and that requests of
# less than the preferred block size take no more than their pages.
. "$(dirname "$0")/functions.sh"
requires nbdinfo nbdsh

# Two pieces of data, of 64 KiB and 1 MiB, and a trimmed piece between them.
fill='
h.pwrite(b"x" * 65536, 1 << 20)
h.pwrite(b"x" * 1048576, 300 << 20)
h.pwrite(b"x" * 1048576, 200 << 20)
h.trim(1048576, 200 << 20)
'
for allocator in $(allocators); do
  start_nbdkit 512M "allocator=$allocator"
  info=$(nbdinfo "$uri")
  # Those of nbdkit's own plugin since 1.38.
  preferred=32768
  [ "$allocator" != malloc ] || preferred=512
  expect_lines "nbdinfo" "$info" 'export-size: 536870912' 'can_cache: true' 'can_fast_zero: true' \
    'can_flush: true' 'can_fua: true' 'can_multi_conn: true' 'can_trim: true' 'can_zero: true' \
    'is_read_only: false' 'is_rotational: false' 'description: .' 'block_size_minimum: 1$' \
    "block_size_preferred: $preferred$" 'block_size_maximum: 4294967295$' 'base:allocation'
  expect_lines "nbdinfo --list" "$(nbdinfo --list "$uri")" '^export="":$' "description: RAM disk [(]$allocator"
  nbdinfo --json "$uri" >/dev/null
  for what in cache fast-zero flush fua multi-conn trim write zero; do
    nbdinfo "--can=$what" "$uri" || fail "allocator=$allocator cannot $what"
  done
  ! nbdinfo --is read-only "$uri" || fail "the disk is read-only"

  nbdsh -u "$uri" -c "$fill"
  map=$(nbdinfo --map "$uri" | awk '{ print $1, $2, $4 }')
  totals=$(nbdinfo --map --totals "$uri" | awk '{ print $1, $4 }')
  if [ "$allocator" = malloc ]; then
    expect_same "the map" "0 536870912 data" "$map"
    expect_same "the totals" "536870912 data" "$totals"
  else
    expect_same "the map" "0 1048576 hole,zero
1048576 65536 data
1114112 313458688 hole,zero
314572800 1048576 data
315621376 221249536 hole,zero" "$map"
    expect_same "the totals" "1114112 data
535756800 hole,zero" "$totals"
  fi
  stop_nbdkit
done

# A byte takes one page, whatever the preferred block size is.
for allocator in $(growing_allocators); do
  start_nbdkit 1M "allocator=$allocator"
  nbdsh -u "$uri" -c 'h.pwrite(b"x", 40001)' -c 'assert h.pread(3, 40000) == b"\0x\0"'
  expect_same "the map of a byte" "0 36864 hole,zero
36864 4096 data
40960 1007616 hole,zero" "$(nbdinfo --map "$uri" | awk '{ print $1, $2, $4 }')"
  stop_nbdkit
done

# The map of the largest disk is one hole.
for allocator in $(growing_allocators); do
  map=$(nbdkit -U - "$plugin" 7E "allocator=$allocator" \
    --run 'nbdsh --base-allocation -u "$uri" \
      -c "h.block_status(2**32 - 1, 2**62, lambda *a: print(a[2]))"')
  expect_same "extents in the middle of 7E" "[4294967295, 3]" "$map"
done
