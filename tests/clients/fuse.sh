# Local files that are disks of the plugin, by nbdfuse; for tests that source functions.sh first.
# shellcheck shell=bash disable=SC2154  # $dir and $plugin come from functions.sh

requires_fuse() {
  requires nbdfuse mountpoint umount
  requires_root # to unmount without a helper
  [ -c /dev/fuse ] || skip "there is no /dev/fuse"
}

# mount_disk FILE ARGUMENT...: the disk with these parameters becomes FILE.
mount_disk() {
  local file=$1 tries
  shift
  touch "$file"
  nbdfuse "$file" --command nbdkit -s "$plugin" "$@" &
  fuse_pid=$!
  at_exit "umount -l '$file' 2>/dev/null; wait $fuse_pid 2>/dev/null"
  for ((tries = 0; tries < 600; tries++)); do
    ! mountpoint -q "$file" || return 0
    kill -0 "$fuse_pid" 2>/dev/null || fail "nbdfuse did not start with: $*"
    sleep 0.05
  done
  fail "nbdfuse does not mount: $*"
}

# Ends the disk that was mounted last. The server must end well.
unmount_disk() {
  local status=0
  umount "$1"
  wait "$fuse_pid" || status=$?
  [ "$status" -eq 0 ] || fail "nbdfuse ended with status $status"
}
