#!/usr/bin/env bash
# Proves that load= fills a disk before it is served, with every byte and every hole, from files and
# block devices, however nbdkit is started; and that whatever fails is one error on the command line.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/image.sh"
requires python3 nbdcopy nbdinfo nbdsh

size=10000001
make_image "$dir/disk.img" "$size"

# holes URI: how many bytes of a disk are holes.
holes() { nbdinfo --map --totals "$1" | awk '$2 !~ /%/ { next } $3 == 3 { print $1 }'; }

for allocator in $(allocators); do
  # Every byte, and zeroes behind; the size is that of the file unless told otherwise.
  start_nbdkit "load=$dir/disk.img" "allocator=$allocator"
  expect_same "$allocator: the size" "$size" "$(nbdinfo --size "$uri")"
  nbdcopy "$uri" "$dir/copy.img"
  cmp "$dir/disk.img" "$dir/copy.img" || fail "$allocator: another content"
  if [ "$allocator" != malloc ]; then
    loaded=$(holes "$uri")
    [ "${loaded:-0}" -gt 3000000 ] || fail "$allocator: only '$loaded' bytes are holes"
    stop_nbdkit
    # As if a client had copied it there.
    start_nbdkit "$size" "allocator=$allocator"
    nbdcopy "$dir/disk.img" "$uri"
    expect_same "$allocator: the holes" "$(holes "$uri")" "$loaded"
  fi
  stop_nbdkit
  start_nbdkit 16M "load=$dir/disk.img" "allocator=$allocator"
  nbdcopy "$uri" "$dir/copy.img"
  cmp -n "$size" "$dir/disk.img" "$dir/copy.img" || fail "$allocator, larger: another content"
  cmp -n $((16777216 - size)) -i "$size:0" "$dir/copy.img" /dev/zero || fail "$allocator: not zero"
  # It is a disk like any other, and the file is not touched.
  nbdsh -u "$uri" -c 'h.pwrite(b"x" * 70000, 3000000)' -c 'h.trim(1000000, 5000000)' \
    -c 'assert h.pread(70000, 3000000) == b"x" * 70000' -c 'assert h.pread(9, 5000000) == bytes(9)'
  stop_nbdkit
done
cmp -n "$size" "$dir/disk.img" "$dir/copy.img" || fail "load= has changed the file"

# An empty file, and one byte.
: >"$dir/empty.img"
printf x >"$dir/byte.img"
for allocator in $(allocators); do
  expect_same "an empty file" 0 "$(nbdkit -U - "$plugin" "load=$dir/empty.img" "allocator=$allocator" \
    --run 'nbdinfo --size "$uri"')"
  expect_same "a byte" x "$(nbdkit -U - "$plugin" "load=$dir/byte.img" "allocator=$allocator" \
    --run 'nbdcopy "$uri" -')"
done

# An image that is not raw is served as it is, with a warning; any other without one.
begins_with() {
  printf "$1" >"$dir/format.img"
  truncate -s 1M "$dir/format.img"
  nbdkit -U - "$plugin" "load=$dir/format.img" --run 'nbdcopy "$uri" -' 2>"$dir/errors" >"$dir/copy.img"
  cmp "$dir/format.img" "$dir/copy.img" || fail "an image that begins with $1: another content"
}
for beginning in 'qcow2 QFI\373\0\0\0\3' 'VMDK KDMV\1\0\0\0' 'VHDX vhdxfile'; do
  begins_with "${beginning#* }"
  expect_lines "the warning" "$(cat "$dir/errors")" "format.img: warning: this is a ${beginning%% *} image"
done
for beginning in 'QFI\1' 'vhdx' '\0KDMV'; do
  begins_with "$beginning"
  [ ! -s "$dir/errors" ] || fail "an image that begins with $beginning: $(cat "$dir/errors")"
done

# A relative path, in the background, where nbdkit leaves its directory; it serves as soon as it is
# there, and what is logged later says nothing to the user.
full_plugin=$(realpath "$plugin")
(cd "$dir" && nbdkit -U back.sock -P back.pid "$full_plugin" load=disk.img 2>errors)
becomes "no pid" test -s "$dir/back.pid"
back=$(cat "$dir/back.pid")
at_exit 'kill "$back" 2>/dev/null'
nbdcopy "nbd+unix:///?socket=$dir/back.sock" "$dir/copy.img"
cmp "$dir/disk.img" "$dir/copy.img" || fail "in the background: another content"
kill "$back"
[ ! -s "$dir/errors" ] || fail "in the background: $(cat "$dir/errors")"

# With --run the command finds the disk loaded.
(cd "$dir" && nbdkit -U - "$full_plugin" load=./disk.img --run 'nbdcopy "$uri" copy.img')
cmp "$dir/disk.img" "$dir/copy.img" || fail "with --run: another content"
# On standard input and output (nbdfuse and others start it so).
nbdsh -c "h.connect_command(['nbdkit', '-s', '--exit-with-parent', '$full_plugin', 'load=$dir/disk.img'])" \
  -c "assert h.get_size() == $size" -c "assert h.pread(99, 0) == bytes(99)"

# The file is opened before nbdkit becomes another user.
if [ "$(id -u)" -eq 0 ] && getent passwd nobody >/dev/null; then
  copy_plugin_for_others
  chmod 600 "$dir/disk.img"
  mkdir -m 777 "$dir/open"
  (cd "$dir" && nbdkit -U open/nobody.sock -u nobody "$dir/nbdkit-memory-plugin.so" load=disk.img \
    --run 'nbdcopy "$uri" copy.img')
  cmp "$dir/disk.img" "$dir/copy.img" || fail "as nobody: another content"
else
  echo "left out: changing the user needs root"
fi

# A block device.
if [ "$(id -u)" -eq 0 ] && [ -e /dev/loop-control ]; then
  truncate -s 10002432 "$dir/blocks.img"
  dd if="$dir/disk.img" of="$dir/blocks.img" conv=notrunc status=none
  loop=$(losetup --find --show --read-only "$dir/blocks.img")
  at_exit 'losetup -d "$loop"'
  for allocator in $(allocators); do
    nbdkit -U - "$plugin" "load=$loop" "allocator=$allocator" --run "nbdcopy \"\$uri\" '$dir/copy.img'"
    cmp "$dir/blocks.img" "$dir/copy.img" || fail "$allocator, a block device: another content"
  done
else
  echo "left out: there are no loop devices"
fi

# Without threads, as under --swap.
if nbdkit -U "$(fresh_socket)" --swap null --run true 2>/dev/null; then
  for allocator in $(allocators); do
    nbdkit -U - --swap "$plugin" "load=$dir/disk.img" "allocator=$allocator" \
      --run "nbdcopy \"\$uri\" '$dir/copy.img'"
    cmp "$dir/disk.img" "$dir/copy.img" || fail "$allocator, --swap: another content"
  done
else
  echo "left out: this user may not lock memory (--swap)"
fi

# mlock: what was loaded is locked in the process that serves.
for allocator in $(allocators); do
  (cd "$dir" && rm -f back.pid back.sock && nbdkit -U back.sock -P back.pid "$full_plugin" load=disk.img \
    "allocator=$allocator" mlock=true 2>errors) || { echo "left out, $allocator: $(cat "$dir/errors")"; continue; }
  becomes "no pid" test -s "$dir/back.pid"
  back=$(cat "$dir/back.pid")
  locked=$(awk '/^VmLck:/ { print $2 }' "/proc/$back/status")
  [ "$locked" -ge 1900 ] || fail "$allocator, mlock=true: only $locked KiB are locked"
  kill "$back"
done

# ---- what fails

one_error 'load=/.*/missing: cannot be opened: No such file' "load=$dir/missing"
one_error 'load=: the path of the file is missing' load=
one_error 'neither a regular file nor a block device' "load=$dir"
one_error 'neither a regular file nor a block device' load=/dev/null
mkfifo "$dir/pipe"
one_error 'neither a regular file nor a block device' "load=$dir/pipe"
one_error "has $size bytes .*, more than the disk of 1048576 bytes" 1M "load=$dir/disk.img"
one_error 'you must specify size=' allocator=sparse
one_error 'you must specify size=' "save=$dir/new.img"
one_error "image=.*does not exist yet, so you must specify size=" "image=$dir/new.img"
one_error 'image=<FILE> is load=<FILE> and save=<FILE> in one' "image=$dir/disk.img" "load=$dir/disk.img"
one_error 'image=<FILE> is load=<FILE> and save=<FILE> in one' "image=$dir/disk.img" "save=$dir/new.img"
# The disk is too small for it: only what is loaded tells.
head -c 30000000 /dev/urandom >"$dir/noise.img"
for allocator in $(growing_allocators); do
  one_error 'load=.*does not fit into memory: .*max-memory is 12582912 bytes \(12 MiB\)' "load=$dir/noise.img" \
    "allocator=$allocator" max-memory=12M
done
one_error 'malloc: cannot take 30000000 bytes.*max-memory' "load=$dir/noise.img" allocator=malloc \
  max-memory=12M
# One that fits but fills the disk passes some marks, which is one line.
nbdkit -U - "$plugin" "load=$dir/noise.img" max-memory=32M --run true 2>"$dir/log"
expect_lines "an almost full disk" "$(cat "$dir/log")" '^nbdkit: .*9[05] % of the memory'
[ "$(wc -l <"$dir/log")" -eq 1 ] || fail "more than one line: $(cat "$dir/log")"

# A file that cannot be read to its end.
if build_fail_io; then
  for allocator in $(allocators); do
    failing FAIL_CALL=pread FAIL_NAME=disk.img FAIL_ERROR=5 FAIL_AFTER=7
    one_error 'load=.*disk.img: cannot be read: Input/output error' "load=$dir/disk.img" \
      "allocator=$allocator"
    working
  done
fi

# Whoever ends nbdkit while it loads does not wait for the rest.
if has_zstd; then
  truncate -s 40G "$dir/large.img"
  python3 - "$dir/large.img" <<'PYTHON'
import os, sys
block = os.urandom(1 << 20)
with open(sys.argv[1], "r+b") as f:
    for i in range(600):
        f.write(block)
PYTHON
  nbdkit -f -U "$(fresh_socket)" "$plugin" "load=$dir/large.img" allocator=zstd,level=19,cache=0 2>"$dir/log" &
  pid=$!
  at_exit "end_child $pid"
  sleep 0.3
  kill "$pid"
  wait "$pid" || fail "ended while it loaded: status $?"
  # nbdkit itself has a line about it, too.
  expect_lines "ended while it loaded" "$(cat "$dir/log")" 'told to end before all of it was read'
  [ "$(wc -l <"$dir/log")" -le 2 ] || fail "ended while it loaded: $(cat "$dir/log")"
fi
