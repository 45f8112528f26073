#!/usr/bin/env bash
# Proves that a server that is killed while it saves leaves the old image or the new one, whole, and
# that what else it leaves is gone after the next save.
# RAMDISK_SAVE_KILLS says how often it is killed, at random moments; 60 unless told.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/image.sh"
requires nbdsh

mkdir "$dir/out"
cat >"$dir/kill.py" <<'PYTHON'
# Each page of the image says which generation it is of. Usage: kill.py PLUGIN IMAGE COUNT ALLOCATOR...
import os, random, signal, struct, subprocess, sys, time
import nbd

plugin, image, count, allocators = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]
size, page = 8 << 20, 4096
hidden = os.path.join(os.path.dirname(image), "." + os.path.basename(image) + ".saving")
socket = image + ".socket"
random.seed(1)
noise = random.randbytes(size)

def content(generation):
    pages = bytearray(noise)
    for at in range(0, size, page):
        pages[at:at + 8] = struct.pack("<Q", generation)
    return bytes(pages)

def start(allocator):
    if os.path.exists(socket):
        os.remove(socket)
    server = subprocess.Popen(["nbdkit", "-f", "--exit-with-parent", "-U", socket, plugin, str(size),
                               "image=" + image, "allocator=" + allocator])
    while not os.path.exists(socket):
        assert server.poll() is None, "nbdkit did not start"
        time.sleep(0.002)
    return server

def write(data):
    client = nbd.NBD()
    client.connect_unix(socket)
    for at in range(0, size, 1 << 20):
        client.pwrite(data[at:at + (1 << 20)], at)
    client.shutdown()

def generation_of(path):
    with open(path, "rb") as f:
        data = f.read()
    generation = struct.unpack_from("<Q", data)[0]
    assert data == content(generation), "the image is of several generations"
    return generation

server = start(allocators[0])
write(content(0))
server.terminate()
server.wait()
assert generation_of(image) == 0

kept = replaced = halves = 0
longest = 0.05
now = n = kills = 0
while kills < count:
    n += 1
    server = start(allocators[n % len(allocators)])
    write(content(n))
    begin = time.monotonic()
    server.terminate()
    if n % 10 == 1:  # how long a save takes
        server.wait()
        longest = max(0.01, time.monotonic() - begin)
        assert generation_of(image) == n
        now = n
        continue
    time.sleep(random.uniform(0, longest))
    server.kill()
    server.wait()
    kills += 1
    found = generation_of(image)
    assert found in (now, n), f"generation {found}, neither {now} nor {n}"
    kept += found == now
    replaced += found == n
    halves += os.path.exists(hidden)
    now = found
print(f"killed {count} times: {kept} times the old image, {halves} times with part of the new one beside "
      f"it, and {replaced} times the new image")
assert kept and halves and replaced, "not every moment was met"
server = start(allocators[0])
write(content(n + 1))
server.terminate()
server.wait()
assert generation_of(image) == n + 1
assert not os.path.exists(hidden), "part of an image is still there"
os.remove(socket)
PYTHON
# The nbd module belongs to the python that runs nbdsh.
# shellcheck disable=SC2046  # a list
python3 "$dir/kill.py" "$plugin" "$dir/out/disk.img" "${RAMDISK_SAVE_KILLS:-60}" $(allocators) ||
  fail "killed while it saved"
only_files "$dir/out" disk.img
