#!/usr/bin/env bash
# Proves that twenty programs at once each have a root image to themselves: every one of them changes
# its clone, checks it when all have done so, and finds no change of another; and that the server has
# its memory back when they have left.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/image.sh"
requires qemu-io nbdsh nbdcopy python3

# The image: a pattern, some of it noise, and holes.
python3 - "$dir/root.img" <<'PYTHON'
import os, sys
with open(sys.argv[1], "wb") as f:
    f.truncate(64 << 20)
    f.write(b"\xbb" * (24 << 20))
    f.write(os.urandom(8 << 20))
PYTHON
head -c 4M /dev/urandom >"$dir/noise"

cat >"$dir/clients.py" <<'PYTHON'
import itertools, subprocess, sys, time
import nbd
from disks import figures, rss
path, pid, allocator, where = sys.argv[1:]
clients, rounds = 20, 4
uri = f"nbd+unix:///?socket={path}"
mine = lambda i: (i + 1) << 20          # where client i writes its pattern

class Client:
    """A qemu-io that is told what to do step by step, and so is connected all the time."""
    def __init__(self, i):
        self.i, self.told = i, 0
        self.name = f"{where}/client{i}"
        with open(self.name, "wb") as log:
            self.process = subprocess.Popen(["qemu-io", "-f", "raw", uri], stdin=subprocess.PIPE,
                                            stdout=log, stderr=subprocess.STDOUT)
    def text(self):
        with open(self.name) as log:
            return log.read()
    def tell(self, command):
        self.process.stdin.write(f"{command}\n".encode())
        self.process.stdin.flush()
        self.told += 1
    def wait(self):
        """Returns when the last command is done, which must have found the pattern it looked for."""
        deadline = time.monotonic() + 60
        while (text := self.text()).count(" ops; ") < self.told:
            assert time.monotonic() < deadline and self.process.poll() is None, (self.i, text)
            time.sleep(0.002)
        assert "fail" not in text.lower(), (self.i, text)
    def leave(self):
        self.process.stdin.close()
        assert self.process.wait() == 0, (self.i, self.text())

def all_at_once(clients, commands):
    """Has all clients take their steps together."""
    for step in itertools.zip_longest(*(commands(c.i) for c in clients)):
        for c, command in zip(clients, step):
            if command:
                c.tell(command)
        for c in clients:
            c.wait()

def change(i):
    return [f"write -P {i + 1} {mine(i)} 64k",      # whole pages
            f"write -P {i + 1} {mine(i) + 100352} 1k",  # parts of pages, which are copied
            f"write -P {i + 1} {(40 << 20) + i * 512} 512",  # close to all others
            f"write -z {mine(i) + 131072} 64k", f"discard {mine(i) + 200192} 8k",
            f"write -s {where}/noise 48M 4M"]       # what takes memory

def check(i):
    others = [f"read -P 0xbb {mine(other)} 128k" for other in range(clients) if other != i]
    rest = [f"read -P 0 {40 << 20} {i * 512}"] if i else []
    return [f"read -P {i + 1} {mine(i)} 64k", f"read -P 0xbb {mine(i) + 65536} 34816",
            f"read -P {i + 1} {mine(i) + 100352} 1k", f"read -P 0xbb {mine(i) + 101376} 29696",
            f"read -P 0 {mine(i) + 131072} 64k", f"read -P 0 {mine(i) + 200192} 8k",
            f"read -P {i + 1} {(40 << 20) + i * 512} 512",
            f"read -P 0 {(40 << 20) + (i + 1) * 512} 64k", "read -P 0xbb 22M 2M"] + others + rest

def wait_for(disks):
    deadline = time.monotonic() + 30    # nbdkit notices in its own time
    while figures(path)["disks"] != disks:
        assert time.monotonic() < deadline, figures(path)["disks"]
        time.sleep(0.01)

with open(f"{where}/root.img", "rb") as f:
    image = f.read()
def one_that_only_reads():
    c = nbd.NBD()
    c.connect_unix(path)
    assert c.pread(32 << 20, 0) + c.pread(32 << 20, 32 << 20) == image, "the image has changed"
    c.shutdown()

one_that_only_reads()
wait_for(0)
start, before = figures(path)["used_bytes"], rss(pid)
after, peaks = [], []
for round in range(rounds):
    here = [Client(i) for i in range(clients)]
    all_at_once(here, lambda i: ["read -P 0xbb 0 1M", "read -P 0xbb 23M 1M"])
    all_at_once(here, change)
    peaks.append(rss(pid))
    all_at_once(here, check)
    one_that_only_reads()
    for c in here:
        c.leave()
    wait_for(0)
    after.append(rss(pid))
end = figures(path)["used_bytes"]
print(f"{allocator}: resident KiB before {before}, with {clients} clients {peaks}, without {after}; "
      f"used bytes {start}, then {end}")
assert peaks[0] - before >= clients * 4096, "the clients took no memory"
# The plugin itself has all of it back. (The image may be kept in another way by now.)
assert end == start or (allocator == "zstd" and end <= start + (1 << 19)), (start, end)
# nbdkit starts threads for each connection, and glibc keeps a heap for each thread that runs beside
# others: about 4 MiB for twenty clients, with any plugin. These are there for the next clients, so after
# the first round there is no growth but that of pieces of heaps that something small keeps. 64 KiB for
# each client is a sixtieth of what it wrote.
assert after[0] <= before + 8192 and after[-1] <= after[0] + (rounds - 1) * clients * 64, after
PYTHON

for allocator in $(growing_allocators); do
  start_nbdkit "load=$dir/root.img" scratch=true stats-export=stats "allocator=$allocator"
  python3 "$dir/clients.py" "$socket" "$pid" "$allocator" "$dir" || fail "$allocator"
  stop_nbdkit
done
