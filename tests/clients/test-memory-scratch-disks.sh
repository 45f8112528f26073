#!/usr/bin/env bash
# Proves that scratch=true gives every connection a disk of its own: no other sees it, it is empty or a
# clone of an image at the start, and its memory is back when the client leaves.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/image.sh"
requires nbdsh nbdinfo nbdcopy qemu-io qemu-img python3

# Whether all disks are gone. nbdkit notices in its own time that a client has left.
no_disks() { grep -q '"disks": 0,' <<<"$(nbdcopy "nbd+unix:///stats?socket=$socket" -)"; }

# What both kinds have in common. $1: what a disk begins with, as a file.
cat >"$dir/check.py" <<'PYTHON'
import os, sys, threading
path, image, allocator = os.environ["SOCKET"], os.environ["IMAGE"], os.environ["ALLOCATOR"]
with open(image, "rb") as file:
    start = file.read()
size = len(start)
def connect():
    c = nbd.NBD()
    c.connect_unix(path)
    assert c.get_size() == size and not c.can_multi_conn()
    return c
def content(c):
    return b"".join(c.pread(1 << 20, at) for at in range(0, size, 1 << 20))
clients = [connect() for i in range(20)]
for c in clients:
    assert content(c) == start
failures = []
def change(i, c):
    try:
        mine = bytearray(start)
        for n in range(20):
            at = (i * 7919 + n * 104729) * 37 % (size - 70000)
            data = os.urandom(5000) + b"text" * 2500
            c.pwrite(data, at)
            mine[at:at + len(data)] = data
            at = (at + 300007) % (size - 70000)
            (c.trim if n % 2 else c.zero)(20001, at)
            mine[at:at + 20001] = bytes(20001)
        c.flush()
        assert content(c) == mine
        return mine
    except Exception as e:
        failures.append((i, e))
disks = [None] * 20
def run(i):
    disks[i] = change(i, clients[i])
threads = [threading.Thread(target=run, args=(i,)) for i in range(20)]
[t.start() for t in threads]
[t.join() for t in threads]
assert not failures, failures
for i, c in enumerate(clients):
    assert content(c) == disks[i], f"client {i} sees a change of another"
assert content(connect()) == start, "a new client sees a change of another"
PYTHON

truncate -s 4M "$dir/empty.img"
make_image "$dir/root.img" $((4 << 20))

for allocator in $(allocators); do
  for kind in empty clone; do
    if [ $kind = empty ]; then
      start_nbdkit 4M scratch=true stats-export=stats "allocator=$allocator"
    elif [ "$allocator" = malloc ]; then
      one_error 'allocator=malloc takes the memory of a whole disk .* cannot make clones' \
        "load=$dir/root.img" scratch=true allocator=malloc
      continue
    else
      start_nbdkit "load=$dir/root.img" scratch=true stats-export=stats "allocator=$allocator"
    fi
    image=$dir/root.img
    [ $kind = clone ] || image=$dir/empty.img
    SOCKET=$socket IMAGE=$image ALLOCATOR=$allocator nbdsh -c - <"$dir/check.py" ||
      fail "$allocator, $kind"
    # Other programs, at once, each with the extents of its own disk.
    clients=()
    for i in {1..8}; do
      qemu-io -f raw "$uri" -c "write -P $i ${i}00k 100k" -c "read -P $i ${i}00k 100k" \
        -c "discard ${i}00k 64k" -c "read -P 0 ${i}00k 64k" -c "read -P $i $((i * 100 + 64))k 36k" >"$dir/io$i" 2>&1 &
      clients+=($!)
    done
    for client in "${clients[@]}"; do wait "$client" || fail "$allocator, $kind: qemu-io: $(cat "$dir"/io*)"; done
    ! grep -l 'failed' "$dir"/io* || fail "$allocator, $kind: $(cat "$dir"/io*)"
    qemu-img map --output=json "$uri" >"$dir/map"
    nbdcopy "$uri" "$dir/copy.img"
    cmp "$dir/copy.img" "$image" || fail "$allocator, $kind: the disk of a new client"
    becomes "$allocator, $kind: disks when all have left" no_disks
    stop_nbdkit
  done
done

# Fifty clients, one after the other, that break their disk and leave: memory is flat.
for allocator in $(growing_allocators); do
  for kind in empty clone; do
    if [ $kind = empty ]; then
      start_nbdkit 64M scratch=true stats-export=stats "allocator=$allocator"
    else
      start_nbdkit 64M "load=$dir/root.img" scratch=true stats-export=stats "allocator=$allocator"
    fi
    SOCKET=$socket SERVER=$pid WHAT="$allocator, $kind" nbdsh -c - <<'PYTHON' || fail "$allocator, $kind: memory"
import os
from disks import figures, rss
path, pid, what = (os.environ[name] for name in ("SOCKET", "SERVER", "WHAT"))
start = figures(path)["used_bytes"]
after = []
for i in range(50):
    c = nbd.NBD()
    c.connect_unix(path)
    for at in range(0, 8):
        c.pwrite(os.urandom(1 << 20), at << 20)
    c.trim(1 << 20, 0)
    if i % 2:
        c.shutdown()
    del c                               # or vanishes
    while figures(path)["disks"] > 0:   # nbdkit notices in its own time
        pass
    after.append(rss(pid))
end = figures(path)["used_bytes"]
print(f"{what}: {after[19]} KiB after 20 clients, {after[-1]} KiB after 50; "
      f"{start} bytes used at the start, {end} at the end")
# The image may be kept in another way by now, if it is compressed.
assert end == start or (what == "zstd, clone" and end <= start + (1 << 19)), (start, end)
# A compressed image that many threads read has in the end a decompressor for each, and the threads of
# each connection leave small pieces of memory in glibc's heaps. Heaps whose ends are not given back
# would take 3 MiB more.
assert after[-1] <= after[19] + (1024 if what.startswith("sparse") else 2048), after
PYTHON
    # Many that open and vanish.
    python3 - "$socket" <<'PYTHON'
import socket, sys
for i in range(300):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.recv(18 if i % 2 else 1)
    if i % 3:
        # Fixed newstyle, and NBD_OPT_GO for the empty name.
        s.sendall(b"\0\0\0\3" + b"IHAVEOPT" + b"\0\0\0\7" + b"\0\0\0\6" + bytes(6))
    s.close()
PYTHON
    becomes "$allocator, $kind: disks of clients that vanished" no_disks
    stop_nbdkit
  done
done

# Two hundred clones of a gigabyte.
python3 - "$dir/big.img" <<'PYTHON'
import os, sys
piece = os.urandom(1 << 20)
with open(sys.argv[1], "wb") as f:
    f.truncate(1 << 30)
    for i in range(0, 1024, 8):         # a part of it has data
        f.seek(i << 20)
        f.write(piece)
PYTHON
for allocator in $(growing_allocators); do
  nbdkit_options=(--threads=1)
  start_nbdkit "load=$dir/big.img" scratch=true stats-export=stats "allocator=$allocator"
  nbdkit_options=()
  SOCKET=$socket SERVER=$pid WHAT=$allocator nbdsh -c - <<'PYTHON' || fail "$allocator: 200 clones"
import os, time
from disks import figures, rss
path, pid, what = (os.environ[name] for name in ("SOCKET", "SERVER", "WHAT"))
def connect():
    c = nbd.NBD()
    c.connect_unix(path)
    return c
first = connect()
used, before = figures(path)["used_bytes"], rss(pid)
begin = time.monotonic()
clients = [connect() for i in range(200)]
took = time.monotonic() - begin
after, resident = figures(path), rss(pid)
assert after["disks"] == 201, after["disks"]
each = (after["used_bytes"] - used) / 200
print(f"{what}: 200 clones in {took:.2f} s; each takes {each / 1024:.1f} KiB of the plugin, "
      f"{(resident - before) / 200:.0f} KiB of the process")
assert took < 2, took
# nbdkit has a thread for each connection, which takes memory of its own.
assert each <= 100 << 10 and (resident - before) / 200 <= 100, (each, resident - before)
for i, c in enumerate(clients):
    assert c.pread(16, 8 << 20) == first.pread(16, 8 << 20)
    c.pwrite(bytes([i]) * 4096, 8 << 20)
for i, c in enumerate(clients):
    assert c.pread(4096, 8 << 20) == bytes([i]) * 4096
wrote = figures(path)["used_bytes"]
print(f"{what}: {(wrote - after['used_bytes']) / 200 / 1024:.1f} KiB each when they have written a page")
PYTHON
  stop_nbdkit
done

# One limit for all. A client that finds no memory is refused, and the log is not filled.
for allocator in $(growing_allocators); do
  start_nbdkit 64M scratch=true "allocator=$allocator" max-memory=32M 2>"$dir/log"
  SOCKET=$socket nbdsh -c - <<'PYTHON' || fail "$allocator: the shared limit"
import os, time
from disks import fill
def connect():
    c = nbd.NBD()
    c.connect_unix(os.environ["SOCKET"])
    return c
first, second = connect(), connect()
a = fill(first)
b = fill(second)
assert 8 <= a < 32 and b < 8, (a, b)
del first
for i in range(100):
    c = fill(second)
    if c >= 8:
        break
    time.sleep(0.05)
assert c >= 8, c
for i in range(300):
    try:
        connect()
    except nbd.Error:
        pass
PYTHON
  stop_nbdkit
  [ "$(wc -l <"$dir/log")" -le 30 ] || fail "$allocator: refusals have filled the log"
done

# ---- what does not go together

one_error 'scratch=true: each disk ends with its connection' 1M scratch=true save=x
one_error 'scratch=true: each disk ends with its connection' 1M scratch=true image=x
one_error 'scratch=true gives each connection a disk of its own.*exports=' 1M scratch=true exports=a
one_error 'scratch=true gives each connection a disk of its own.*exports=' 1M scratch=true exports=*
one_error 'you must specify size=' scratch=true
for filter in cow cache cacheextents; do
  nbdkit --filter=$filter null --dump-plugin >/dev/null 2>&1 || continue
  nbdkit_options=("--filter=$filter")
  one_error "scratch=true does not go with --filter=$filter" 1M scratch=true
  nbdkit_options=()
done
