#!/usr/bin/env bash
# Proves that nbdsh can do everything to a disk that Python can ask of libnbd, at both its ends.
. "$(dirname "$0")/functions.sh"
requires nbdsh

cat >"$dir/script.py" <<'PYTHON'
size = h.get_size()
assert h.can_multi_conn() and h.can_fua() and h.can_cache() and h.can_fast_zero()
for at in (0, 1, 4095, size // 2 - 7, size - 100000):
    data = bytes((i * 7 + at) % 255 + 1 for i in range(100000))
    h.pwrite(data, at, nbd.CMD_FLAG_FUA)
    assert h.pread(100000, at) == data, at
    h.zero(30000, at + 1000, nbd.CMD_FLAG_FAST_ZERO)
    h.trim(30000, at + 40001)
    h.cache(100000, at)
    want = bytearray(data)
    want[1000:31000] = bytes(30000)
    want[40001:70001] = bytes(30000)
    assert h.pread(100000, at) == want, at
    # The same in one structured reply, which the client puts together.
    pieces = bytearray(100000)
    def chunk(buf, offset, state, error):
        pieces[offset - at:offset - at + len(buf)] = buf
    h.pread_structured(100000, at, chunk)
    assert pieces == want, at
h.flush()
h.trim(min(size, 2**32 - 4096), 0)
assert h.pread(100000, 0) == bytes(100000)
PYTHON

for allocator in $(allocators); do
  sizes="1M 200M"
  [ "$allocator" = malloc ] || sizes="$sizes 7E 9223372036854775807"
  for size in $sizes; do
    start_nbdkit "$size" "allocator=$allocator"
    nbdsh -u "$uri" -c - <"$dir/script.py" || fail "$size allocator=$allocator"
    stop_nbdkit
  done
done
