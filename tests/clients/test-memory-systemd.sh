#!/usr/bin/env bash
# Proves that systemd understands the units of a RAM disk as a service, and that they leave little to a
# server that has been taken over.
. "$(dirname "$0")/functions.sh"
requires systemd-analyze
source=${RAMDISK_SOURCE_DIR:-$(dirname "$0")/../..}
units=$source/.packaging/systemd

# What systemd does not know it ignores with a warning; with a program that is missing it fails. It looks
# for pages of manuals that are not installed here.
cp "$units"/nbdkit-memory@.* "$dir"
warnings=$(systemd-analyze verify --man=no "$dir"/nbdkit-memory@.* 2>&1) || fail "systemd-analyze: $warnings"
expect_same "warnings about the units" "" "$warnings"

# From 0 (nothing) to 10; tenths are given.
[ "$(systemd-analyze --version | awk 'NR == 1 { print $2 }')" -ge 250 ] ||
  skip "this systemd-analyze cannot look at units that are not loaded"
systemd-analyze security --offline=yes --threshold=10 "$dir/nbdkit-memory@.service" >"$dir/report" ||
  { cat "$dir/report"; fail "the service may do too much"; }
tail -n 1 "$dir/report"

# The disk would take other memory for its own, and save no image, without these.
expect_lines "the service" "$(cat "$units/nbdkit-memory@.service")" '^MemoryMax=' '^TimeoutStopSec=' \
  '^LimitMEMLOCK=' '^StateDirectory=' '^EnvironmentFile='
! grep -q '^ProcSubset=pid' "$units/nbdkit-memory@.service" ||
  fail "with ProcSubset=pid the disk does not see how much memory is left"
