#!/usr/bin/env bash
# Proves that every allocator works under nbdkit's --swap, which locks all memory of the process, so
# that none can be given back in parts.
. "$(dirname "$0")/functions.sh"
requires nbdsh

nbdkit_options=(--swap)
nbdkit -U "$(fresh_socket)" --swap null --run true 2>"$dir/errors" ||
  skip "this user may not lock memory: $(cat "$dir/errors")"

for allocator in $(allocators); do
  start_nbdkit 100M "allocator=$allocator"
  check_disk "$allocator"
  locked=$(awk '/^VmLck:/ { print $2 }' "/proc/$pid/status")
  [ "$locked" -ge $((32 * 1024)) ] || fail "allocator=$allocator: only $locked KiB are locked"
  stop_nbdkit
done
