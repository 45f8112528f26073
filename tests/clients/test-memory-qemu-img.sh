#!/usr/bin/env bash
# Proves that qemu-img converts into and out of a disk, compares it, and sees its holes.
. "$(dirname "$0")/functions.sh"
requires qemu-img

# A qcow2 image of real files with holes between them.
truncate -s 64M "$dir/disk.img"
tar -cf "$dir/files.tar" -C / usr/include 2>/dev/null || :
head -c 12000000 "$dir/files.tar" | dd of="$dir/disk.img" bs=1M seek=1 conv=notrunc status=none
head -c 1000000 "$dir/files.tar" | dd of="$dir/disk.img" bs=1M seek=40 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 "$dir/disk.img" "$dir/disk.qcow2"

for allocator in $(allocators); do
  start_nbdkit 64M "allocator=$allocator"
  expect_lines "qemu-img info" "$(qemu-img info "$uri")" 'virtual size: 64 MiB'
  qemu-img convert -n -f qcow2 -O raw "$dir/disk.qcow2" "$uri"
  qemu-img compare -f raw -F raw "$dir/disk.img" "$uri"
  qemu-img compare -f qcow2 -F raw "$dir/disk.qcow2" "$uri"
  qemu-img convert -f raw -O qcow2 "$uri" "$dir/copy.qcow2"
  qemu-img compare -f qcow2 -F raw "$dir/copy.qcow2" "$dir/disk.img"
  qemu-img map -f raw --output=json "$uri" >"$dir/map.json"
  python3 - "$dir/map.json" "$allocator" <<'PYTHON'
import json, sys
extents = json.load(open(sys.argv[1]))
assert sum(e["length"] for e in extents) == 64 << 20, extents
data = sum(e["length"] for e in extents if e["data"])
if sys.argv[2] == "malloc":
    assert data == 64 << 20, data
else:
    assert 12 << 20 < data < 13 << 20, data
    assert all(e["zero"] for e in extents if not e["data"]), extents
PYTHON
  # A comparison that must see one changed byte.
  qemu-io -f raw -c 'write -P 0x5a 33554433 1' "$uri" >/dev/null
  if qemu-img compare -f raw -F raw "$dir/disk.img" "$uri" >"$dir/compare"; then
    fail "allocator=$allocator: qemu-img does not see the changed byte"
  fi
  stop_nbdkit
done
