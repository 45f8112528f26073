#!/usr/bin/env bash
# Proves that every allocator works with memory by standard C++ alone, which knows neither huge pages
# nor giving back parts.
. "$(dirname "$0")/functions.sh"
requires nbdsh

export RAMDISK_MEMORY=portable
for allocator in $(allocators); do
  start_nbdkit 100M "allocator=$allocator"
  check_disk "$allocator"
  stop_nbdkit
done

# It cannot be locked as it grows, and that is said.
for allocator in $(growing_allocators); do
  expect_lines "mlock" "$(errors_of 1M "allocator=$allocator" mlock=true)" 'only allocator=malloc can lock'
done
