#!/usr/bin/env bash
# Proves that a disk holds a mounted filesystem: made, filled, trimmed, checked, mounted again.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/fuse.sh"
requires losetup mkfs.ext4 e2fsck tar
requires_fuse
[ -e /dev/loop-control ] || skip "there are no loop devices"

make_files "$dir/files" 60
mkdir "$dir/mnt"

# attach and detach: the disk as a block device. Opening it anew also drops what the system cached,
# so that what is read comes from the disk.
attach() { loop=$(losetup --find --show "$1"); }
detach() {
  losetup -d "$loop"
  loop=
}
loop=
at_exit 'umount "$dir/mnt" 2>/dev/null; [ -z "$loop" ] || losetup -d "$loop"'

for allocator in $(allocators); do
  file=$dir/$allocator.img
  mount_disk "$file" 1G "allocator=$allocator"
  attach "$file"
  mkfs.ext4 -q "$loop"
  mount "$loop" "$dir/mnt"
  cp -a "$dir/files/." "$dir/mnt/"
  mkdir "$dir/mnt/second"
  cp -a "$dir/files/." "$dir/mnt/second/"
  rm -rf "$dir/mnt/second"
  fstrim "$dir/mnt" 2>/dev/null || : # where nbdfuse passes trims on
  umount "$dir/mnt"
  detach

  attach "$file"
  e2fsck -fn "$loop" >"$dir/check" 2>&1 || { cat "$dir/check"; fail "allocator=$allocator: damaged"; }
  mount -o ro "$loop" "$dir/mnt"
  diff -r --no-dereference -x lost+found "$dir/files" "$dir/mnt" >"$dir/diff" ||
    { head "$dir/diff"; fail "allocator=$allocator: files differ"; }
  umount "$dir/mnt"
  detach
  unmount_disk "$file"
done
