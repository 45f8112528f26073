#!/usr/bin/env bash
# Proves that a real filesystem of 1 GiB, made from real files, goes through each allocator and
# comes back identical and clean.
. "$(dirname "$0")/functions.sh"
requires nbdcopy mkfs.ext4 e2fsck

make_files "$dir/files" 400
truncate -s 1G "$dir/disk.img"
mkfs.ext4 -q -F -d "$dir/files" "$dir/disk.img"
rm -rf "$dir/files"
echo "the image has $(du -m "$dir/disk.img" | cut -f1) MiB of data"

for allocator in $(allocators); do
  start_nbdkit 1G "allocator=$allocator"
  nbdcopy "$dir/disk.img" "$uri"
  nbdcopy "$uri" "$dir/copy.img"
  cmp "$dir/disk.img" "$dir/copy.img" || fail "allocator=$allocator: the copy differs"
  e2fsck -fn "$dir/copy.img" || fail "allocator=$allocator: the filesystem is damaged"
  echo "allocator=$allocator: $(awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status") KiB resident"
  rm "$dir/copy.img"
  stop_nbdkit
done
