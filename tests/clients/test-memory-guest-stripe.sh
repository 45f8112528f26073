#!/usr/bin/env bash
# Proves that the disks of two servers, each on a host of its own, become one that is larger than
# either, and that when one host stops to answer, or its server ends, the client gets errors for that
# part and does not hang.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/hosts.sh"
requires mkfs.ext4 e2fsck dmsetup
requires_guest
make_guest mkfs.ext4 e2fsck dmsetup

start_host 3E
start_host 3E
echo "the servers: ${places[*]}"
at_exit "kill -CONT ${pids[*]} 2>/dev/null"

host_silence() { kill -STOP "${pids[1]}"; }
# A server that is asked to end would wait for its clients to go.
host_end() { kill -KILL "${pids[0]}"; }

run_guest 384 -nic user,model=virtio-net-pci <<SCRIPT
place0='${places[0]}'
place1='${places[1]}'
$(
  cat <<'GUEST'
ip route add default via 10.0.2.2
nbd-client $place0 /dev/nbd0 -timeout 5 >/dev/null
nbd-client $place1 /dev/nbd1 -timeout 5 >/dev/null

# Pieces of 128 KiB in turn.
half=$(blockdev --getsz /dev/nbd0)
dmsetup --noudevsync create large \
  --table "0 $((2 * half)) striped 2 256 /dev/nbd0 0 /dev/nbd1 0"
large=/dev/dm-0
size=$(blockdev --getsize64 $large)
echo "one disk of $size bytes"
[ "$size" = $((6 << 60)) ]

# Raw: over a border between the hosts, at the start, in the middle and at the end.
dd if=/dev/urandom of=/tmp/noise bs=64k count=8 2>/dev/null
for at in 1 $((3 << 44)) $(((6 << 44) - 8)); do
  dd if=/tmp/noise of=$large bs=64k seek=$at conv=fsync 2>/dev/null
done
echo 3 >/proc/sys/vm/drop_caches
for at in 1 $((3 << 44)) $(((6 << 44) - 8)); do
  dd if=$large bs=64k skip=$at count=8 2>/dev/null | cmp - /tmp/noise
done

# A filesystem, in the first part of it: ext4 ends at one exabyte.
mkfs.ext4 -q -E nodiscard $large 4G
mount -t ext4 $large /mnt
cp -r /bin /lib /mnt
dd if=/dev/urandom of=/mnt/noise bs=1M count=32 2>/dev/null
find /mnt -type f | xargs md5sum >/tmp/sums
umount /mnt
echo 3 >/proc/sys/vm/drop_caches
mount -t ext4 -o ro $large /mnt
md5sum -c /tmp/sums | grep -v ': OK$' && exit 1
umount /mnt
e2fsck -fn $large
dd if=$large of=/tmp/before bs=128k count=4 2>/dev/null

# readable N: whether the Nth piece can be read, and is as it was.
readable() {
  echo 3 >/proc/sys/vm/drop_caches
  dd if=$large of=/tmp/piece bs=128k skip=$1 count=1 2>/tmp/error || return 1
  dd if=/tmp/before bs=128k skip=$1 count=1 2>/dev/null | cmp - /tmp/piece
}
host silence
for piece in 1 3; do
  if readable $piece; then echo "piece $piece of a silent host can be read"; exit 1; fi
  echo "a silent host: $(head -n 1 /tmp/error)"
done
if dd if=/tmp/noise of=$large bs=128k seek=1 count=1 conv=fsync 2>/tmp/error; then
  echo "a silent host can be written"
  exit 1
fi
readable 0
readable 2
host end
if readable 2; then echo "the piece of an ended server can be read"; exit 1; fi
echo "an ended server: $(head -n 1 /tmp/error)"
GUEST
)
SCRIPT
kill -CONT "${pids[1]}"
stop_nbdkit
