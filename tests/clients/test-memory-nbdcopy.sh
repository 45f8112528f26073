#!/usr/bin/env bash
# Proves that nbdcopy brings data in and out unharmed, with its many requests at once.
. "$(dirname "$0")/functions.sh"
requires nbdcopy nbdinfo

# Real files between holes, and a size that is no multiple of anything.
truncate -s 100000001 "$dir/disk.img"
tar -cf "$dir/files.tar" -C / usr/include usr/share/common-licenses 2>/dev/null || :
head -c 30000000 "$dir/files.tar" | dd of="$dir/disk.img" bs=1M seek=3 conv=notrunc status=none
head -c 5000000 "$dir/files.tar" | dd of="$dir/disk.img" bs=1M seek=60 conv=notrunc status=none

for allocator in $(allocators); do
  start_nbdkit 100000001 "allocator=$allocator"
  nbdcopy "$dir/disk.img" "$uri"
  nbdcopy "$uri" "$dir/copy.img"
  cmp "$dir/disk.img" "$dir/copy.img" || fail "allocator=$allocator: the copy differs"
  rm "$dir/copy.img"

  if [ "$allocator" != malloc ]; then
    # The holes of the source are holes of the disk.
    data=$(nbdinfo --map --totals "$uri" | awk '$NF == "data" { print $1 }')
    [ "$data" -lt 36000000 ] || fail "allocator=$allocator: $data bytes are kept of 35 MB"
  fi

  # Over old data, with the zeroes written out, and from one disk to another.
  nbdcopy --destination-is-zero --sparse=0 "$dir/disk.img" "$uri"
  nbdcopy --flush --connections=4 --requests=64 "$uri" -- \
    [ nbdkit --exit-with-parent "$plugin" 100000001 "allocator=$allocator" ]
  nbdcopy --synchronous "$uri" - | cmp - "$dir/disk.img" ||
    fail "allocator=$allocator: the second copy differs"
  stop_nbdkit
done
