#!/usr/bin/env bash
# Proves that clients with several connections see one disk: libnbd's, with a flush on another
# connection than the write; qemu's, which offers it on through qemu-nbd; and qemu-img bench.
. "$(dirname "$0")/functions.sh"
requires nbdsh nbdcopy nbdinfo qemu-img qemu-nbd

for allocator in $(allocators); do
  start_nbdkit 64M "allocator=$allocator"
  URI=$uri nbdsh -c - <<'PYTHON' || fail "allocator=$allocator: libnbd"
import os
handles = [nbd.NBD() for i in range(4)]
for h in handles:
    h.connect_uri(os.environ["URI"])
    assert h.can_multi_conn()
piece = 1 << 16
for i in range(256):
    writer, flusher, reader = (handles[(i + n) % 4] for n in range(3))
    data = os.urandom(100) * (piece // 100)
    writer.pwrite(data, i * piece + 77)
    flusher.flush()
    assert reader.pread(len(data), i * piece + 77) == data, i
    reader.trim(piece // 2, i * piece + 77)
    assert writer.pread(piece // 2, i * piece + 77) == bytes(piece // 2), i
PYTHON

  # Writes at once, and then reads, with a flush in between.
  qemu-img bench -f raw -t none -w -c 4096 -d 32 -s 4096 --flush-interval=64 --pattern=0x5a "$uri"
  qemu-img bench -f raw -t none -c 512 -d 16 -s 65536 "$uri"
  nbdsh -u "$uri" -c 'assert h.pread(4096 * 4096, 0) == b"\x5a" * (4096 * 4096)'

  # A second server between: both ways through its four connections.
  again=$(fresh_socket)
  head -c 67108864 /dev/urandom >"$dir/noise"
  qemu-nbd --fork --persistent --shared=4 --discard=unmap --socket="$again" --pid-file="$dir/qemu-nbd" \
    --format=raw "$uri"
  qemu_nbd=$(cat "$dir/qemu-nbd")
  at_exit '[ -z "$qemu_nbd" ] || kill "$qemu_nbd"'
  expect_lines "qemu-nbd" "$(nbdinfo "nbd+unix:///?socket=$again")" 'can_multi_conn: true'
  nbdcopy --connections=4 --flush "$dir/noise" "nbd+unix:///?socket=$again"
  nbdcopy --connections=4 "nbd+unix:///?socket=$again" "$dir/copy"
  cmp "$dir/noise" "$dir/copy"
  nbdcopy "$uri" - | cmp - "$dir/noise"
  # It locks its file until it is gone, and the next one would find that.
  kill "$qemu_nbd"
  while kill -0 "$qemu_nbd" 2>/dev/null; do sleep 0.05; done
  qemu_nbd=
  stop_nbdkit
done
