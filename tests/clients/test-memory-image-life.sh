#!/usr/bin/env bash
# Proves that a disk with image= lives as a service: it is started, mounted and written to, told to
# end, and started again, and each time the files are there. The server is in the background, as
# another user, and its directory is not the one that it was started in.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/image.sh"
. "$(dirname "$0")/fuse.sh"
requires losetup mkfs.ext4 e2fsck nbdfuse sha256sum
requires_fuse
[ -e /dev/loop-control ] || skip "there are no loop devices"
getent passwd nobody >/dev/null || skip "there is no user nobody"

copy_plugin_for_others
mkdir "$dir/state" "$dir/mnt"
chown nobody "$dir/state"
cp -r "$(dirname "$0")" "$dir/files"
touch "$dir/disk"

# begin ARGUMENT...: the service starts.
begin() {
  rm -f "$dir/state/sock" "$dir/state/pid"
  (cd "$dir/state" && nbdkit -U sock -P pid -u nobody "$dir/nbdkit-memory-plugin.so" "$@")
  becomes "no pid" test -s "$dir/state/pid"
  server=$(cat "$dir/state/pid")
}
running() { [ -n "$(ps -o stat= -p "$server" | grep -v ^Z)" ]; }
ended() { ! running; }
end() {
  kill "$server"
  becomes "the service does not end" ended
}
server=
loop=
fuse=
release() {
  ! mountpoint -q "$dir/mnt" || umount "$dir/mnt"
  [ -z "$loop" ] || losetup -d "$loop"
  loop=
  ! mountpoint -q "$dir/disk" || umount "$dir/disk"
  [ -z "$fuse" ] || wait "$fuse"
  fuse=
}
at_exit 'release; [ -z "$server" ] || ! running || kill "$server"'

attach() {
  nbdfuse "$dir/disk" "nbd+unix:///?socket=$dir/state/sock" &
  fuse=$!
  becomes "nbdfuse does not mount" mountpoint -q "$dir/disk"
  loop=$(losetup --find --show "$dir/disk")
}
sums() { (cd "$dir/mnt" && find . -path ./lost+found -prune -o -type f -print0 | sort -z | xargs -0 sha256sum); }

for allocator in $(allocators); do
  size=48M
  for day in 1 2 3; do
    # The size is said the first time only.
    begin ${size:+"$size"} image=disk.img "allocator=$allocator"
    attach
    [ -z "$size" ] || mkfs.ext4 -q "$loop"
    mount "$loop" "$dir/mnt"
    if [ -n "$size" ]; then
      cp -r "$dir/files/." "$dir/mnt/"
    else
      expect_same "$allocator, day $day: the files" "$(cat "$dir/sums")" "$(sums)"
    fi
    echo "day $day" >"$dir/mnt/day$day"
    head -c 300000 /dev/urandom >"$dir/mnt/noise"
    sums >"$dir/sums"
    release
    end
    e2fsck -fn "$dir/state/disk.img" >"$dir/check" 2>&1 || { cat "$dir/check"; fail "day $day: damaged"; }
    expect_same "whose the image is" nobody "$(stat -c %U "$dir/state/disk.img")"
    size=
  done
  [ ! -e "$dir/state/.disk.img.saving" ] || fail "part of an image was left"
  rm "$dir/state/disk.img"
done
