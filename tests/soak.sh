#!/bin/sh
# Soak: a real nbdkit, 16 connections, all operations, everything that is read is checked, and the
# server's memory must stay flat. All allocators, one after the other.
# Usage: sh tests/soak.sh [MINUTES]     30 unless told otherwise; the allocators share them.
# Prints, for each: operations done, bytes verified, memory at the start, at each quarter and at the end.
set -eu
cd "$(dirname "$0")/.."

minutes=${1:-30}
cmake --preset release -DRAMDISK_CHECKS=ON -DRAMDISK_TESTS=ON >/dev/null
cmake --build build/release --target wire_soak_test >/dev/null
echo "soak: $minutes minutes, a third of them for each allocator"
RAMDISK_SOAK_SECONDS=$((minutes * 60 / 3)) exec build/release/tests/wire/wire_soak_test
