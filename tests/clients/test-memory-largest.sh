#!/usr/bin/env bash
# Proves that btrfs fills the largest disk there can be, and xfs one of a petabyte: made through a
# loop device on nbdfuse's file, checked, mounted and written, in a few MiB of memory.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/fuse.sh"
requires losetup
requires_fuse
has_zstd || skip "the plugin was built without zstd"
[ -e /dev/loop-control ] || skip "there are no loop devices"

mkdir "$dir/mnt"
loop=
at_exit 'umount "$dir/mnt" 2>/dev/null; [ -z "$loop" ] || losetup -d "$loop"'
head -c 10000000 /dev/urandom >"$dir/noise"

# try NAME SIZE MAKE CHECK: the filesystem on a disk of so many bytes.
tried=
try() {
  local name=$1 size=$2 make=$3 check=$4 file=$dir/$1.img at
  if ! command -v "${make%% *}" "${check%% *}" >/dev/null; then
    echo "left out: there is no ${make%% *}"
    return
  fi
  mount_disk "$file" "$size" allocator=zstd max-memory=1G
  loop=$(losetup --find --show "$file")
  expect_same "the size of the device" "$size" "$(blockdev --getsize64 "$loop")"
  $make "$loop" >"$dir/log" 2>&1 || { cat "$dir/log"; fail "$make"; }
  $check "$loop" >"$dir/log" 2>&1 || { cat "$dir/log"; fail "$check"; }
  tried+=" $name"
  if mount -t "$name" "$loop" "$dir/mnt" 2>"$dir/log"; then
    cp "$dir/noise" "$dir/mnt"
    at=$(stat -f -c '%S %b' "$dir/mnt")
    echo "$name: $((${at% *} * ${at#* } >> 40)) TiB"
    umount "$dir/mnt"
    # What is cached of the disk goes with the device; then the disk is all there is.
    losetup -d "$loop"
    loop=$(losetup --find --show "$file")
    mount -t "$name" -o ro "$loop" "$dir/mnt"
    cmp "$dir/noise" "$dir/mnt/noise" || fail "$name: the file differs"
    umount "$dir/mnt"
    $check "$loop" >"$dir/log" 2>&1 || { cat "$dir/log"; fail "$check, after a file"; }
  else
    echo "left out: this kernel does not mount $name: $(cat "$dir/log")"
  fi
  losetup -d "$loop"
  loop=
  unmount_disk "$file"
}
try btrfs $(((1 << 63) - 4096)) 'mkfs.btrfs -q -f -K' 'btrfs check --readonly'
try xfs $((1 << 50)) 'mkfs.xfs -q -f -K' 'xfs_repair -n'
[ -n "$tried" ] || skip "neither btrfs nor xfs can be made here"
