#!/usr/bin/env bash
# Proves that a disk of seven exabytes works as a local file: written and read at odd places.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/fuse.sh"
requires python3
requires_fuse

for allocator in $(growing_allocators); do
  mount_disk "$dir/$allocator.img" 7E "allocator=$allocator"
  expect_same "the size" 8070450532247928832 "$(stat -c %s "$dir/$allocator.img")"
  python3 - "$dir/$allocator.img" <<'PYTHON'
import os, sys
disk = os.open(sys.argv[1], os.O_RDWR)
size = os.lseek(disk, 0, os.SEEK_END)
places = [0, 4095, 2**31 - 3, 2**32 - 70001, 2**40 + 1, 2**47 - 1, 2**62 - 12345, size - 200000]
def data(n):
    return bytes((i * (n + 3)) % 253 + 1 for i in range(200000))
for n, at in enumerate(places):
    if at != 4095:
        assert os.pwrite(disk, data(n), at) == 200000
os.pwrite(disk, b"end", size - 3)
os.fsync(disk)
for n, at in enumerate(places):
    if at == 4095:
        assert os.pread(disk, 1000, at) == data(0)[4095:5095]
        continue
    want = data(n)
    if n == len(places) - 1:
        want = want[:-3] + b"end"
    assert os.pread(disk, 200000, at) == want, at
assert os.pread(disk, 100000, 2**61) == bytes(100000)
assert os.pread(disk, 10, size - 3) == b"end"
PYTHON
  unmount_disk "$dir/$allocator.img"
done
