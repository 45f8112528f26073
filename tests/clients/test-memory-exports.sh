#!/usr/bin/env bash
# Proves that several disks in one server are several disks: each has its own content, name and files,
# all have one limit, and names that nobody gave, or that mean harm, make no disk and no damage.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/image.sh"
requires nbdsh nbdinfo nbdcopy qemu-io python3

uri_of() { echo "nbd+unix:///${1:-}?socket=$socket"; }
listed() { nbdinfo --list "$uri" | sed -n 's/^export="\(.*\)":$/\1/p'; }
stats() { nbdcopy "$(uri_of stats)" -; }

for allocator in $(allocators); do
  # Contents are separate, sizes each export's own, and the first is the default.
  start_nbdkit 4M exports=root:8M,home,swap:1M "allocator=$allocator" stats-export=stats
  expect_same "$allocator: the list" "$(printf '%s\n' root home swap stats)" "$(listed)"
  expect_same "the sizes" "8388608 4194304 1048576 8388608" \
    "$(for name in root home swap ''; do nbdinfo --size "$(uri_of $name)"; done | xargs)"
  for name in root home swap; do
    qemu-io -f raw "$(uri_of $name)" -c "write -P ${#name} 64k 64k" -c "write -z 96k 4k" >"$dir/log" ||
      fail "$allocator: $(cat "$dir/log")"
    nbdsh -u "$(uri_of $name)" -c "h.pwrite(b'$name', 5000)"
  done
  for name in root home swap; do
    nbdsh -u "$(uri_of $name)" -c "assert h.pread(5, 5000) == b'$name' + bytes(5 - ${#name})"
  done
  nbdsh -u "$uri" -c 'assert h.pread(4, 5000) == b"root"' -c 'assert h.can_multi_conn()'
  # Each has its own figures.
  stats | python3 -c '
import json, sys
now = json.load(sys.stdin)
assert now["disks"] == 3 and now["ended"] == 0, now
exports = {one["export"]: one for one in now["exports"]}
assert list(exports) == ["root", "home", "swap"], exports
writes = {n: [e["value"] for e in one["requests_total"] if e["operation"] == "write"] for n, one in exports.items()}
assert writes == {"root": [2], "home": [2], "swap": [2]}, writes
assert [one["size_bytes"] for one in exports.values()] == [8 << 20, 4 << 20, 1 << 20]
assert all(one["used_bytes"] > 0 for one in exports.values())
' || fail "$allocator: the statistics"
  # Others do not exist, and the log does not repeat what a client made up.
  for name in Root rootx stats2 'a/b'; do
    ! nbdinfo "$(uri_of "$name")" >"$dir/out.txt" 2>&1 || fail "$allocator: there is an export '$name'"
  done
  stop_nbdkit
done

start_nbdkit 1M exports=a,b 2>"$dir/log"
python3 - "$socket" <<'PYTHON' || fail "hostile names"
import sys
sys.path.insert(0, "/usr/lib/python3/dist-packages")
import nbd
for i in range(200):
    for name in ("x\x1b[31m", "\xff" * 100, "/" * 4096, "x" * 4096):
        h = nbd.NBD()
        h.set_export_name(name)
        try:
            h.connect_unix(sys.argv[1])
            sys.exit("there is such an export")
        except nbd.Error:
            pass
PYTHON
stop_nbdkit
[ "$(wc -l <"$dir/log")" -le 30 ] || fail "800 refusals have filled the log: $(wc -l <"$dir/log") lines"
expect_lines "the log" "$(cat "$dir/log")" 'there is no such export: exports= has the names$'
! grep -q 'x\|/' <(grep -v 'exports=' "$dir/log" | grep -i 'no such export') || fail "the log repeats names"

# One limit for all: what one disk has taken, another cannot have.
for allocator in $(growing_allocators); do
  start_nbdkit 256M exports=a,b "allocator=$allocator" max-memory=48M stats-export=stats 2>"$dir/log"
  python3 - "$socket" <<'PYTHON' || fail "$allocator: the shared limit"
import os, sys
sys.path.insert(0, "/usr/lib/python3/dist-packages")
import nbd
from disks import fill
def connect(name):
    h = nbd.NBD()
    h.set_export_name(name)
    h.connect_unix(sys.argv[1])
    return h
a, b = connect("a"), connect("b")
first = fill(a)
second = fill(b)
assert 24 <= first < 48 and second < 8, (first, second)
# What is there can still be changed, on both; and what one gives back the other can have.
a.pwrite(os.urandom(1 << 20), 0)
a.trim(16 << 20, 0)
third = fill(b)
assert third >= 8, third
print(f"{first} MiB of 48 for the first disk, {second} for the second, {third} after a trim of 16")
PYTHON
  stats | python3 -c '
import json, sys
now = json.load(sys.stdin)
assert sum(one["used_bytes"] for one in now["exports"]) <= now["limit_bytes"] == 48 << 20, now'
  stop_nbdkit
  expect_lines "$allocator" "$(cat "$dir/log")" \
    'no space left: the (disk has taken all|rest) of max-memory'
done

# ---- files of their own

mkdir "$dir/out"
for allocator in $(allocators); do
  start_nbdkit exports=a:1M,b:2M "image=$dir/out/%s-100%%.img" "allocator=$allocator"
  nbdsh -u "$(uri_of a)" -c 'h.pwrite(b"first", 5000)'
  stop_nbdkit
  only_files "$dir/out" a-100%.img # the other has not changed
  start_nbdkit exports=a,b:2M "image=$dir/out/%s-100%%.img" "allocator=$allocator"
  nbdsh -u "$(uri_of a)" -c 'assert h.get_size() == 1 << 20 and h.pread(5, 5000) == b"first"' \
    -c 'h.pwrite(b"again", 5000)'
  nbdsh -u "$(uri_of b)" -c 'h.pwrite(b"second", 5000)'
  stop_nbdkit
  only_files "$dir/out" a-100%.img b-100%.img
  start_nbdkit exports=b,a "load=$dir/out/%s-100%%.img" "allocator=$allocator"
  nbdsh -u "$(uri_of a)" -c 'assert h.pread(6, 5000) == b"again\0"'
  nbdsh -u "$uri" -c 'assert h.get_size() == 2 << 20 and h.pread(6, 5000) == b"second"'
  stop_nbdkit
  rm "$dir/out"/*
done
# Without exports= a percent sign is one.
start_nbdkit 1M "save=$dir/out/%s-%%.img"
nbdsh -u "$uri" -c 'h.pwrite(b"x", 0)'
stop_nbdkit
only_files "$dir/out" '%s-%%.img'
one_error 'save=one.img: each export needs a file of its own; %s' 1M exports=a,b save=one.img
one_error "the export 'a/b' has a slash in its name" 1M exports=a/b "save=$dir/out/%s"
# Nor may links lead to one, or one disk be saved to where the half of another is for a while.
echo old >"$dir/out/one"
ln -s one "$dir/out/a"
ln -s one "$dir/out/b"
for key in save image; do
  one_error "exports=: to save 'a' and 'b' would both write to .*/out/one" 1M exports=a,b "$key=$dir/out/%s"
done
nbdkit -U - "$plugin" 1M exports=a,b "load=$dir/out/%s" --run true || fail "two disks cannot begin with one file"
rm "$dir/out/a" "$dir/out/b"
echo precious >"$dir/out/.one.saving"
one_error "exports=: to save 'one' and '.one.saving' would both write to .*/out/.one.saving" 1M \
  exports=one,.one.saving "image=$dir/out/%s"
expect_same "an image with an odd name" precious "$(cat "$dir/out/.one.saving")"
rm "$dir/out/.one.saving" "$dir/out/one"
one_error "exports=: 'b' has no size" exports=a:1M,b
one_error "two exports have the name 'a'" 1M exports=a,a:2M
one_error 'a name has 5000 bytes, more than the 4096' 1M "exports=$(printf 'x%.0s' {1..5000})"
for filter in cow cache cacheextents; do
  nbdkit --filter=$filter null --dump-plugin >/dev/null 2>&1 || continue
  nbdkit_options=("--filter=$filter")
  one_error "exports= does not go with --filter=$filter" 1M exports=a,b
  nbdkit_options=()
done

# ---- a disk for each name

start_nbdkit 1M exports=* exports-max=5 stats-export=stats 2>"$dir/log"
# Neither a list nor a question makes a disk, nor does a client that asks and leaves.
for i in {1..20}; do
  nbdinfo --list "$uri" >"$dir/out.txt"
  nbdinfo --size "$(uri_of "n$i")" >"$dir/out.txt"
done
python3 - "$socket" <<'PYTHON' || fail "names that clients choose"
import json, socket, subprocess, sys
sys.path.insert(0, "/usr/lib/python3/dist-packages")
import nbd
path = sys.argv[1]
def connect(name):
    h = nbd.NBD()
    h.set_export_name(name)
    h.connect_unix(path)
    return h
def disks():
    text = subprocess.run(["nbdcopy", f"nbd+unix:///stats?socket={path}", "-"],
                          stdout=subprocess.PIPE, check=True).stdout.decode()
    return [one["export"] for one in json.loads(text)["exports"]]
for i in range(50):
    h = nbd.NBD()
    h.set_opt_mode(True)
    h.set_export_name(f"asked {i}")
    h.connect_unix(path)
    h.opt_info()
    h.opt_abort()
for i in range(50):                     # connections that open and vanish
    connect(f"opened {i}")
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.close()
assert disks() == [], disks()
names = ["", "a", "a/../b", "\x01\n\"\\\u00e4", "y" * 4096]
held = [connect(name) for name in names]
for i, h in enumerate(held):
    h.pwrite(bytes([i + 1]) * 10, 4000)
shown = ["", "a", "a/../b", "\\x01\\x0a\"\\x5c\u00e4", "y" * 4096]
assert disks() == shown, disks()
for i, name in enumerate(names):
    assert connect(name).pread(10, 4000) == bytes([i + 1]) * 10, name
# No more than that, however many try.
for i in range(1000):
    try:
        connect(f"more {i}")
        sys.exit("a disk too many")
    except nbd.Error:
        pass
assert len(disks()) == 5
PYTHON
stop_nbdkit
expect_lines "the log" "$(cat "$dir/log")" 'there are as many disks as exports-max allows, which is 5'
[ "$(grep -c exports-max "$dir/log")" -le 30 ] || fail "a thousand refusals have filled the log"

# Two that come for the same name at once get the same disk, and too many at once get no more.
for allocator in $(allocators); do
  start_nbdkit 1M exports=* exports-max=8 "allocator=$allocator"
  python3 - "$socket" <<'PYTHON' || fail "$allocator: at once"
import sys, threading
sys.path.insert(0, "/usr/lib/python3/dist-packages")
import nbd
made, refused = [], []
def client(i):
    try:
        h = nbd.NBD()
        h.set_export_name(f"n{i % 12}")
        h.connect_unix(sys.argv[1])
        h.pwrite(bytes([i % 12 + 1]) * 512, i * 512)
        made.append((i, h))
    except nbd.Error:
        refused.append(i)
threads = [threading.Thread(target=client, args=(i,)) for i in range(48)]
[t.start() for t in threads]
[t.join() for t in threads]
assert len({i % 12 for i, h in made}) == 8 and refused, (made, refused)
for i, h in made:
    for j, other in made:
        expected = i % 12 + 1 if i % 12 == j % 12 else 0
        assert h.pread(1, j * 512)[0] == expected, (i, j)
PYTHON
  stop_nbdkit
done

# The other format: a label for each disk.
if command -v promtool >/dev/null; then
  start_nbdkit 1M exports=* stats-export=stats stats-format=prometheus
  nbdsh -u "$(uri_of 'a%22b%0Ac')" -c 'h.pwrite(b"x", 0)'
  nbdsh -u "$(uri_of 'd')" -c 'h.pwrite(b"x", 0)'
  stats >"$dir/metrics"
  promtool check metrics <"$dir/metrics" || fail "promtool: $(cat "$dir/metrics")"
  expect_lines "the metrics" "$(cat "$dir/metrics")" '^nbdkit_memory_disks 2$' \
    '^nbdkit_memory_size_bytes\{export="d"\} 1048576$' \
    '^nbdkit_memory_size_bytes\{export="a\\"b\\\\x0ac"\} 1048576$'
  stop_nbdkit
fi

# A hundred idle disks take little memory and no time.
for allocator in $(growing_allocators); do
  start_nbdkit 1G exports=* stats-export=stats "allocator=$allocator"
  python3 - "$socket" "$pid" "$allocator" <<'PYTHON' || fail "$allocator: a hundred disks"
import glob, sys, time
sys.path.insert(0, "/usr/lib/python3/dist-packages")
import nbd
from disks import rss
path, pid, allocator = sys.argv[1:]
def switches():
    counts = {}
    for name in glob.glob(f"/proc/{pid}/task/*/status"):
        try:
            with open(name) as f:
                counts[name] = next(int(line.split()[1]) for line in f if line.startswith("voluntary"))
        except FileNotFoundError:       # a connection has ended
            pass
    return counts
def open_disk(i):
    h = nbd.NBD()
    h.set_export_name(f"n{i}")
    h.connect_unix(path)
    h.flush()                       # the first request makes the disk
    h.shutdown()
open_disk(0)
before = rss(pid)
for i in range(1, 100):
    open_disk(i)
each = (rss(pid) - before) / 99
deadline = time.monotonic() + 60    # zstd looks a few times before it rests
while True:
    begin = switches()
    time.sleep(3)
    idle = sum(count - begin.get(name, 0) for name, count in switches().items())
    if idle <= 3 or time.monotonic() > deadline:
        break
threads = len(glob.glob(f"/proc/{pid}/task/*"))
print(f"{allocator}: {each:.1f} KiB for each idle disk, {threads} threads, {idle} wake-ups in 3 s")
assert idle <= 3 and threads < 40
assert each <= (40 if allocator == "sparse" else 4096), each
PYTHON
  stop_nbdkit
done
