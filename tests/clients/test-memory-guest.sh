#!/usr/bin/env bash
# Proves that Linux's own NBD client uses a disk as a block device, through four connections: a
# filesystem is made, filled, read back, trimmed and checked, and the trim gives memory back.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/guest.sh"
requires mkfs.ext4 e2fsck
requires_guest
make_guest mkfs.ext4 e2fsck

host_memory() {
  memory[$1]=$(resident)
  echo "allocator=$allocator: $1: nbdkit has ${memory[$1]} KiB"
}

# Those that the server side of the loopback interface has.
host_connections() {
  connections=$(awk -v port="$(printf '%04X' "$nbdkit_port")" \
    '$2 ~ ":" port "$" && $4 == "01"' /proc/net/tcp | wc -l)
}

for allocator in $(growing_allocators); do
  declare -A memory=()
  choose_port
  start_nbdkit 2G "allocator=$allocator"
  run_guest 512 -nic user,model=virtio-net-pci <<SCRIPT
port=$nbdkit_port
$(
    cat <<'GUEST'
attach() { nbd-client -C 4 10.0.2.2 $port /dev/nbd0 >/dev/null; }
attach
host connections
[ "$(blockdev --getsize64 /dev/nbd0)" = $((2 << 30)) ]
[ "$(cat /sys/block/nbd0/queue/discard_max_bytes)" -gt 0 ]
mkfs.ext4 -q /dev/nbd0
mount -t ext4 /dev/nbd0 /mnt
host memory empty
# Half of it is noise, for which a compressed disk needs as much memory as any.
for i in 1 2 3 4 5; do
  mkdir /mnt/$i
  dd if=/dev/urandom of=/mnt/$i/noise bs=1M count=12 2>/dev/null
  cp -r /bin /lib /mnt/$i
done
find /mnt -type f | xargs md5sum | sort >/tmp/sums
[ "$(wc -l </tmp/sums)" -gt 100 ]
umount /mnt
nbd-client -d /dev/nbd0 >/dev/null
host memory full

attach
mount -t ext4 /dev/nbd0 /mnt
find /mnt -type f | xargs md5sum | sort >/tmp/again
cmp /tmp/sums /tmp/again
df -m /mnt
rm -r /mnt/[1-4]
sync
fstrim -v /mnt
host memory trimmed
grep '/mnt/5' /tmp/sums >/tmp/rest
find /mnt -type f | xargs md5sum | sort >/tmp/again
cmp /tmp/rest /tmp/again
umount /mnt
e2fsck -fn /dev/nbd0
nbd-client -d /dev/nbd0 >/dev/null
GUEST
  )
SCRIPT
  expect_same "the number of connections" 4 "$connections"
  written=$((memory[full] - memory[empty]))
  kept=$((memory[trimmed] - memory[empty]))
  [ "$written" -ge $((60 * 1024)) ] || fail "allocator=$allocator: only $written KiB were written"
  # One of the five is left.
  [ "$kept" -le $((written / 2)) ] || fail "allocator=$allocator: $kept of $written KiB are left"
  stop_nbdkit
done
