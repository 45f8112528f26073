#!/usr/bin/env bash
# Proves the recipe for a scratch disk of its own for every client, as nbdkit's tmpdisk plugin gives:
# each connection starts an nbdkit, which serves that client from memory and ends with it.
. "$(dirname "$0")/functions.sh"
requires nbdsh socat
has_zstd || skip "the plugin was built without zstd"

socket=$(fresh_socket)
socat "UNIX-LISTEN:$socket,fork" "EXEC:nbdkit -s $plugin 1G allocator=zstd max-memory=256M" &
pid=$!
at_exit "end_child $pid"
# The file is there a moment before anybody listens, which 10000 stands for among the flags of a socket.
until grep -q " 00010000 .* $socket\$" /proc/net/unix; do
  kill -0 "$pid" 2>/dev/null || fail "socat did not start"
  sleep 0.05
done

URI=nbd+unix:///?socket=$socket nbdsh -c - <<'PYTHON' || fail "the disks are not the clients' own"
import os
clients = [nbd.NBD() for i in range(4)]
for i, h in enumerate(clients):
    h.connect_uri(os.environ["URI"])
    assert h.get_size() == 1 << 30
    h.pwrite(b"%d" % i * 1000000, 123456)
for i, h in enumerate(clients):
    assert h.pread(1000000, 123456) == b"%d" % i * 1000000, i
    assert h.pread(123456, 0) == bytes(123456)
    h.shutdown()
# A new client starts with nothing.
h = nbd.NBD()
h.connect_uri(os.environ["URI"])
assert h.pread(2000000, 0) == bytes(2000000)
h.shutdown()
PYTHON

# Each server went with its client.
for ((tries = 0; tries < 200; tries++)); do
  children=$(pgrep -P "$pid" || :)
  [ -n "$children" ] || break
  sleep 0.1
done
expect_same "the servers that are left" "" "$children"
