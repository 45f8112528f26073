#!/usr/bin/env bash
# Proves that a disk which runs out of address space (ulimit -v) in the middle of a fill says so, keeps
# what it holds, and takes data again after a trim; and that allocator=malloc does not even start.
. "$(dirname "$0")/functions.sh"
requires nbdsh

ulimit -v $((800 * 1024)) # nbdkit takes about 200 MiB, and each thread up to 72 (stack and slabs)
nbdkit_options=(--threads 2)

cat >"$dir/script.py" <<'PYTHON'
block = 1 << 18
filler = Filler(h, block, [errno.ENOMEM, errno.ENOSPC])
data, fill = filler.data, filler.fill

written = fill()
assert written * block > 100 << 20, written
for i in range(written):
    assert h.pread(block, i * block) == data(i), i
# Each page of the request that failed is old or new.
got = h.pread(block, written * block)
for at in range(0, block, 4096):
    assert got[at:at + 4096] in (bytes(4096), data(written)[at:at + 4096]), at

# A part that is trimmed makes room for as much elsewhere; what is left is untouched.
half = written // 2
h.trim(half * block, 0)
assert h.pread(block, 0) == bytes(block)
for i in range(half * 9 // 10):
    h.pwrite(data(i + 7), (written + 1 + i) * block)
for i in range(half * 9 // 10):
    assert h.pread(block, (written + 1 + i) * block) == data(i + 7), i
for i in range(half, written):
    assert h.pread(block, i * block) == data(i), i

h.trim(h.get_size(), 0)
again = fill()
assert again > written * 9 // 10, (written, again)
PYTHON

for allocator in $(growing_allocators); do
  start_nbdkit 1G "allocator=$allocator"
  cat "$(dirname "$0")/fill.py" "$dir/script.py" | nbdsh -u "$uri" -c - || fail "allocator=$allocator"
  # A client that comes after that is served, too.
  nbdsh -u "$uri" -c 'h.trim(h.get_size(), 0)' -c 'assert h.pread(4096, 0) == bytes(4096)'
  stop_nbdkit
done

# With one arena for all threads there is room for the sixteen of each of four connections: without,
# each of them reserves 64 MiB.
requires nbdcopy
nbdkit_options=()
head -c 8M /dev/urandom >"$dir/noise"
for allocator in $(growing_allocators); do
  export MALLOC_ARENA_MAX=1
  start_nbdkit 1G "allocator=$allocator"
  unset MALLOC_ARENA_MAX
  nbdcopy --connections=4 "$dir/noise" "$uri" || fail "allocator=$allocator: sixteen threads a connection"
  nbdcopy --connections=4 "$uri" "$dir/copy"
  cmp -n $((8 << 20)) "$dir/noise" "$dir/copy" || fail "allocator=$allocator: the copy differs"
  stop_nbdkit
done

expect_lines "malloc" "$(errors_of 1G allocator=malloc)" 'allocator=malloc.* 1073741824 .*ulimit -v'
