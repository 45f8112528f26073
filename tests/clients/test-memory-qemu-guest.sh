#!/usr/bin/env bash
# Proves that a disk is a good disk for a virtual machine: what its guest trims, and what it
# overwrites with zeroes, is memory that nbdkit gives back; the guest's files stay whole.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/guest.sh"
requires mkfs.ext4 e2fsck nbdcopy python3
requires_guest
make_guest mkfs.ext4 e2fsck

# What the disk keeps, in KiB, as its statistics tell.
host_stored() {
  stored[$1]=$(nbdcopy "nbd+unix:///stats?socket=$socket" - |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["stored_bytes"] >> 10)')
  memory[$1]=$(resident)
  echo "allocator=$allocator: $1: ${stored[$1]} KiB are stored, nbdkit has ${memory[$1]} KiB"
}

for allocator in $(growing_allocators); do
  declare -A stored=() memory=()
  start_nbdkit 1G "allocator=$allocator" stats-export=stats
  run_guest 384 -device virtio-blk-pci,drive=disk -blockdev \
    "driver=nbd,node-name=disk,server.type=unix,server.path=$socket,discard=unmap,detect-zeroes=unmap" \
    <<'GUEST'
mkfs.ext4 -q /dev/vda
mount -t ext4 /dev/vda /mnt
cp -r /bin /lib /mnt
dd if=/dev/urandom of=/mnt/noise bs=1M count=40 2>/dev/null
dd if=/dev/urandom of=/mnt/other bs=1M count=40 2>/dev/null
sync
find /mnt/bin /mnt/lib -type f | xargs md5sum >/tmp/sums
host stored full
rm /mnt/noise
sync
fstrim -v /mnt
host stored trimmed
dd if=/dev/zero of=/mnt/other bs=1M count=40 conv=notrunc,fsync 2>/dev/null
host stored zeroed
umount /mnt
e2fsck -fn /dev/vda
mount -t ext4 -o ro /dev/vda /mnt
md5sum -c /tmp/sums | grep -v ': OK$' && exit 1
[ "$(tr -d '\0' </mnt/other | wc -c)" = 0 ]
umount /mnt
GUEST
  noise=$((40 * 1024))
  [ $((stored[full])) -ge $((2 * noise)) ] || fail "allocator=$allocator: only ${stored[full]} KiB"
  for step in 'full trimmed' 'trimmed zeroed'; do
    read -r before after <<<"$step"
    gone=$((stored[$before] - stored[$after]))
    # Files of the filesystem's own, such as its journal, may grow by some in between.
    [ "$gone" -ge $((noise * 9 / 10)) ] || fail "allocator=$allocator: $after: only $gone KiB are gone"
    gone=$((memory[$before] - memory[$after]))
    [ "$gone" -ge $((noise / 2)) ] || fail "allocator=$allocator: $after: only $gone KiB came back"
  done
  stop_nbdkit
done
