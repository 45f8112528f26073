#!/usr/bin/env bash
# Proves that a disk holds filesystems that are in use: ext4, xfs and btrfs are made, filled with real
# files, churned by fio (which verifies) and stress-ng, emptied in part, trimmed, unmounted, checked by
# their own tools, and mounted again with every file as it was. Memory falls with what is removed.
# FILESYSTEM_SECONDS says how long each is churned; tests/filesystems.sh sets it.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/fuse.sh"
requires losetup fio stress-ng fstrim sha256sum pgrep
requires_fuse
[ -e /dev/loop-control ] || skip "there are no loop devices"

seconds=${FILESYSTEM_SECONDS:-2}
mnt=$dir/mnt
mkdir "$mnt"
make_files "$dir/files" 60

# attach and detach: the disk as a block device. Opening it anew also drops what the system cached,
# so that what is read comes from the disk.
attach() { loop=$(losetup --find --show "$1"); }
detach() {
  losetup -d "$loop"
  loop=
}
# Before the disk itself can go.
release() {
  ! mountpoint -q "$mnt" || umount "$mnt"
  [ -z "$loop" ] || detach
}
loop=

# known FILESYSTEM: whether the kernel has it and its tools are there; says so if not.
known() {
  grep -qw "$1" /proc/filesystems || modprobe "$1" 2>/dev/null ||
    { echo "SKIP: this kernel has no $1"; return 1; }
  command -v "mkfs.$1" >/dev/null || { echo "SKIP: mkfs.$1 is not installed"; return 1; }
}

make_filesystem() {
  case $1 in
    ext4) mkfs.ext4 -q "$loop" ;;
    xfs) mkfs.xfs -q -f "$loop" ;;
    btrfs) mkfs.btrfs -q -f "$loop" >"$dir/mkfs" 2>&1 ;;
  esac
}

check_filesystem() {
  case $1 in
    ext4) e2fsck -fn "$loop" ;;
    xfs) xfs_repair -n "$loop" ;;
    btrfs) btrfs check "$loop" ;;
  esac >"$dir/check" 2>&1 || { cat "$dir/check"; fail "$2: $1 is damaged"; }
}

# sums: a checksum of each file below the mount, and where links lead to.
sums() {
  (
    cd "$mnt"
    find . -path ./lost+found -prune -o -type f -print0 | sort -z | xargs -0 sha256sum
    find . -type l -printf '%p -> %l\n' | sort
  )
}

# kib: resident memory of the server behind the disk that was mounted last.
kib() { awk '/^VmRSS/ { print $2 }' "/proc/$(pgrep -P "$fuse_pid" -x nbdkit)/status"; }

# churn SECONDS: both leave files behind, which stay for the comparison.
churn() {
  mkdir "$mnt/fio" "$mnt/stress"
  # fio leaves files with the state of the verification where it runs.
  (cd "$dir" && fio --name=churn --directory="$mnt/fio" --rw=randrw --bs=4k --size=24M --numjobs=2 \
    --ioengine=psync --fsync=32 --verify=crc32c --verify_fatal=1 --verify_backlog=64 \
    --time_based --runtime="$1" --group_reporting) >"$dir/fio.log" 2>&1 ||
    { tail -n 20 "$dir/fio.log"; return 1; }
  stress-ng --temp-path "$mnt/stress" --timeout "$1" --verify --quiet --hdd 1 --hdd-bytes 32M \
    --dentry 1 --rename 1 --link 1 --symlink 1 --fallocate 1 --fallocate-bytes 32M \
    >"$dir/stress.log" 2>&1 || { tail -n 20 "$dir/stress.log"; return 1; }
}

judge() {
  local filesystem=$1 allocator=$2 what="$1 on $2" file=$dir/$2.img full emptied trimmed=yes tries
  mount_disk "$file" 1G "allocator=$allocator"
  at_exit release
  attach "$file"
  make_filesystem "$filesystem"
  mount "$loop" "$mnt"
  cp -a "$dir/files/." "$mnt/"
  churn "$seconds" || fail "$what: churn"
  mkdir "$mnt/ballast"
  head -c 100M /dev/urandom >"$mnt/ballast/noise"
  sync -f "$mnt"
  full=$(kib)
  rm -rf "$mnt/ballast"
  # A filesystem may free what was removed a moment later (xfs does).
  for ((tries = 0; tries < 20; tries++)); do
    sync -f "$mnt"
    fstrim "$mnt" 2>/dev/null || trimmed=no # where nbdfuse does not pass trims on
    emptied=$(kib)
    [ "$trimmed" = yes ] && [ "$emptied" -ge $((full - 50 * 1024)) ] && [ "$allocator" != malloc ] || break
    sleep 0.5
  done
  sums >"$dir/sums"
  umount "$mnt"
  detach

  attach "$file"
  check_filesystem "$filesystem" "$what"
  mount -o ro "$loop" "$mnt"
  sums >"$dir/sums.again"
  cmp "$dir/sums" "$dir/sums.again" || fail "$what: files differ after the remount"
  diff -r --no-dereference -x lost+found -x fio -x stress "$dir/files" "$mnt" >"$dir/diff" ||
    { head "$dir/diff"; fail "$what: files differ from their originals"; }
  umount "$mnt"
  detach
  unmount_disk "$file"
  echo "$what: $(wc -l <"$dir/sums") files equal, memory ${full} KiB, trimmed ($trimmed): ${emptied} KiB"
  # 100 MiB of noise went; half of that must come back, whatever else moves.
  if [ "$trimmed" = yes ] && [ "$allocator" != malloc ]; then
    [ "$emptied" -lt $((full - 50 * 1024)) ] || fail "$what: memory did not fall"
  fi
}

judged=0
for filesystem in ext4 xfs btrfs; do
  known "$filesystem" || continue
  for allocator in $(allocators); do judge "$filesystem" "$allocator"; done
  judged=$((judged + 1))
done
[ "$judged" -gt 0 ] || skip "no filesystem can be judged here"
