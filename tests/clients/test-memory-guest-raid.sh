#!/usr/bin/env bash
# Proves that the disks of four servers, each on a host of its own, become one that outlives the loss
# of a host: a filesystem on md RAID 10 goes on while a server ends, is whole without it, and is
# rebuilt onto a new disk, which then holds what its partner held when that one falls silent.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/guest.sh"
. "$(dirname "$0")/hosts.sh"
requires mkfs.ext4 e2fsck
requires_guest
guest_modules+=' raid10'
make_guest mkfs.ext4 e2fsck mdadm

# The fifth is the one that takes the place of a lost one.
for _ in 1 2 3 4 5; do start_host 128M; done
echo "the servers: ${places[*]}"
at_exit "kill -CONT ${pids[*]} 2>/dev/null"

# Nearness makes 0 and 1 partners, and 2 and 3.
host_end() { kill -KILL "${pids[0]}"; }
host_silence() { kill -STOP "${pids[1]}"; }
# What two servers hold, in MiB of memory: that of a disk's partner, and that of the rebuilt one.
host_compare() {
  local partner rebuilt
  pid=${pids[1]} partner=$(resident)
  pid=${pids[4]} rebuilt=$(resident)
  echo "memory of the partner: $((partner >> 10)) MiB, of the rebuilt disk: $((rebuilt >> 10)) MiB"
  # Zeroes that the kernel copies take no memory.
  [ "$rebuilt" -lt $((partner + (16 << 10))) ] || fail "the rebuilt disk takes more than its partner"
}

run_guest 384 -nic user,model=virtio-net-pci <<SCRIPT
places='$(printf '%s\n' "${places[@]}")'
$(
  cat <<'GUEST'
export MDADM_NO_UDEV=1
ip route add default via 10.0.2.2
number=0
echo "$places" >/tmp/places
while read -r address port; do
  nbd-client $address $port /dev/nbd$number -timeout 5 >/dev/null
  number=$((number + 1))
done </tmp/places

# New disks are zeroes, all alike: nothing has to be copied at first.
mdadm --create /dev/md0 --run --assume-clean --level=10 --raid-devices=4 \
  /dev/nbd0 /dev/nbd1 /dev/nbd2 /dev/nbd3 2>&1
size=$(blockdev --getsize64 /dev/md0)
echo "one disk of $size bytes"
[ $size -gt $((240 << 20)) ]

# state NUMBER: waits until so many of the disks are missing.
state() {
  local tries=0
  while [ "$(cat /sys/block/md0/md/degraded)" != $1 ]; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || { cat /proc/mdstat; exit 1; }
    sleep 0.1
  done
  cat /proc/mdstat
}
# whole: reads all files from the disks, not from memory, and checks the filesystem.
whole() {
  umount /mnt
  echo 3 >/proc/sys/vm/drop_caches
  e2fsck -fn /dev/md0
  mount -t ext4 -o discard /dev/md0 /mnt
  md5sum -c /tmp/sums >/tmp/checked || { grep -v ': OK$' /tmp/checked; exit 1; }
}
# note: the sums of all files, as they should be.
note() { find /mnt -type f | xargs md5sum >/tmp/sums; }

mkfs.ext4 -q /dev/md0
mount -t ext4 -o discard /dev/md0 /mnt
cp -r /bin /lib /mnt
note
# A host is lost while files are written; none of the writes fails.
(
  set +e
  file=0
  while [ ! -e /tmp/stop ]; do
    dd if=/dev/urandom of=/tmp/noise bs=64k count=16 2>/dev/null
    file=$((file + 1))
    dd if=/tmp/noise of=/mnt/file$file bs=64k conv=fsync 2>/dev/null || touch /tmp/failed
    cmp /tmp/noise /mnt/file$file || touch /tmp/failed
    [ $file -lt 30 ] || break
  done
  echo "files written meanwhile: $file"
) &
sleep 1
host end
sleep 1
touch /tmp/stop
wait $!
[ ! -e /tmp/failed ]
sync
state 1
md5sum -c /tmp/sums | grep -v ': OK$' && exit 1
note
whole

# Another host takes its place.
mdadm /dev/md0 --fail /dev/nbd0 --remove /dev/nbd0 2>&1 || mdadm /dev/md0 --remove failed 2>&1
mdadm /dev/md0 --add /dev/nbd4 2>&1
state 0
whole
host compare
# The partner of the new disk falls silent, so what it held can come from the new disk alone.
host silence
whole
state 1
GUEST
)
SCRIPT
kill -CONT "${pids[1]}"
pid=${pids[4]}
stop_nbdkit
