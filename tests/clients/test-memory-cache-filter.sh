#!/usr/bin/env bash
# Proves that nbdkit's cache filter works over a compressed disk in each of its modes: clients read
# what they wrote, and what the filter owes to the disk is there when the mode says so.
#
# With cache-max-size, except in cache=writethrough, nbdkit 1.32's filter drops blocks that were not
# written to the plugin yet, whichever plugin that is. So the two do not go together here.
. "$(dirname "$0")/functions.sh"
requires nbdsh python3
has_zstd || skip "the plugin was built without zstd"
nbdkit null --filter=cache --version >/dev/null 2>&1 || skip "nbdkit has no cache filter"

cat >"$dir/model.py" <<'PYTHON'
import os, random, sys
size, mode = h.get_size(), os.environ["MODE"]
disk = nbd.NBD()                                # without the filter
disk.connect_uri(os.environ["DISK"])
chance = random.Random(7)
model = bytearray(size)
for step in range(1500):
    length = chance.choice([1, 511, 4096, 5000, 65536, 200000])
    at = chance.randrange(size - length)
    action = chance.choice(["write", "write", "zero", "trim", "read", "flush"])
    if action == "write":
        data = chance.randbytes(64) * (length // 64) + chance.randbytes(length % 64)
        h.pwrite(data, at)
        model[at:at + length] = data
    elif action == "zero":
        h.zero(length, at)
        model[at:at + length] = bytes(length)
    elif action == "trim":
        # What a trim leaves is known only where the filter cannot keep old data: zero it, too.
        h.trim(length, at)
        h.zero(length, at)
        model[at:at + length] = bytes(length)
    elif action == "flush":
        h.flush()
        if mode != "unsafe":
            assert disk.pread(size // 2, 0) == model[:size // 2], step
    else:
        assert h.pread(length, at) == model[at:at + length], step
    if mode == "writethrough" and action in ("write", "zero"):
        assert disk.pread(length, at) == model[at:at + length], step
h.flush()
half = size // 2
assert h.pread(half, 0) == model[:half] and h.pread(half, half) == model[half:]
same = disk.pread(half, 0) == model[:half] and disk.pread(half, half) == model[half:]
# Unsafe means that a flush is not passed on.
assert same == (mode != "unsafe"), mode
PYTHON

export TMPDIR=$dir # where the filter keeps its file
for options in cache=writeback cache=writethrough cache=unsafe \
  'cache=writeback cache-on-read=true' 'cache=writethrough cache-max-size=2M cache-on-read=true' \
  'cache=writethrough cache-max-size=2M cache-high-threshold=80 cache-low-threshold=40'; do
  echo "== $options"
  mode=${options%% *}
  start_nbdkit 16M allocator=zstd
  export MODE=${mode#cache=} DISK=$uri
  # shellcheck disable=SC2016,SC2086
  nbdkit -U - --filter=cache nbd "socket=$socket" $options \
    --run 'nbdsh -u "$uri" -c -' <"$dir/model.py" || fail "$options"
  stop_nbdkit

  # In one process with the disk, as it would be used.
  nbdkit_options=(--filter=cache)
  # shellcheck disable=SC2086
  start_nbdkit 64M allocator=zstd $options
  nbdsh -u "$uri" -c - <<'PYTHON' || fail "$options: in one process"
import os
noise = [os.urandom(1 << 16) for i in range(256)]
for i, data in enumerate(noise):
    h.pwrite(data, i << 17)
h.flush()
for i, data in enumerate(noise):
    assert h.pread(1 << 17, i << 17) == data + bytes(1 << 16), i
PYTHON
  stop_nbdkit
  nbdkit_options=()
done
