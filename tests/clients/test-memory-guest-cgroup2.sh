#!/usr/bin/env bash
# Proves, in a guest whose control groups are of version 2, that the files which a group has in its
# cache, read more than once, are no obstacle to a disk; and that the group's limit holds.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/guest.sh"
requires_guest
make_guest nbdkit
cp "$plugin" "$dir/guest/plugin.so"
copy_libraries "$plugin"
truncate -s 130M "$dir/file"

run_guest 768 -drive "file=$dir/file,if=virtio,format=raw" <<'GUEST'

mkdir -p /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
cd /sys/fs/cgroup
echo +memory >cgroup.subtree_control
mkdir ramdisk
cd ramdisk
echo $((256 << 20)) >memory.max
in_group() { sh -c 'echo $$ >cgroup.procs; exec "$@"' sh "$@"; }
# While a disk is open what was read of it stays.
exec 9</dev/vda
in_group sh -c 'for i in 1 2 3; do cat /dev/vda >/dev/null; done'
active=$(sed -n 's/^active_file //p' memory.stat)
echo "$active bytes of active cache, $(cat memory.current) of all"
[ "$active" -ge $((100 << 20)) ]

if in_group nbdkit -U /tmp/refused /plugin.so 300M allocator=malloc --run true 2>/tmp/errors; then
  echo "300M were taken in a group of 256M"
  exit 1
fi
grep 'control group' /tmp/errors
in_group nbdkit -U /tmp/socket /plugin.so 200M allocator=malloc --run 'echo malloc starts'
GUEST
