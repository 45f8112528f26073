#!/bin/sh
# Filesystems as judges: ext4, xfs and btrfs live on disks of every allocator, are churned, trimmed,
# checked and compared; tests/clients/test-memory-filesystems.sh says what is done in detail.
# Usage: sh tests/filesystems.sh [SECONDS]     of churn for each of the nine, twice; 60 unless told.
# Needs root, /dev/fuse and loop devices.
set -eu
cd "$(dirname "$0")/.."

cmake --preset release -DRAMDISK_CHECKS=ON >/dev/null
cmake --build build/release --target memory_plugin >/dev/null
FILESYSTEM_SECONDS=${1:-60} RAMDISK_PLUGIN=$PWD/build/release/nbdkit-memory-plugin.so \
  exec bash tests/clients/test-memory-filesystems.sh
