#!/usr/bin/env bash
# Proves that save= and image= keep a disk: whole, with its holes, however nbdkit ends in order; that
# a disk that has not changed is left alone; and that a save that cannot work is an error before
# nbdkit serves, and one that fails says so and leaves the old image.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/image.sh"
requires python3 nbdcopy nbdinfo nbdsh

size=10000001
mkdir "$dir/out"
out=$dir/out
make_image "$dir/disk.img" "$size"
head -c 1M /dev/urandom >"$dir/noise.img"

# fill_disk: the content of disk.img, by a client, and then some changes.
fill_disk() {
  nbdcopy "$dir/disk.img" "$uri"
  nbdsh -u "$uri" -c 'h.pwrite(b"y" * 100000, 5000003)' -c 'h.trim(1 << 20, 4 << 20)' \
    -c 'h.zero(70000, 2000001)'
}

# bytes_at OFFSET COUNT FILE
bytes_at() { dd "if=$3" iflag=skip_bytes,count_bytes "skip=$1" "count=$2" status=none; }

for allocator in $(allocators); do
  # What a client reads last is what is saved, and zeroes take no room.
  start_nbdkit "$size" "save=$out/new.img" "allocator=$allocator"
  fill_disk
  nbdcopy "$uri" "$dir/last.img"
  [ ! -e "$out/new.img" ] || fail "$allocator: saved too early"
  stop_nbdkit
  cmp "$dir/last.img" "$out/new.img" || fail "$allocator: another content was saved"
  [ "$(blocks "$out/new.img")" -le $(($(blocks "$dir/last.img") + 64)) ] || fail "$allocator: holes were filled"
  only_files "$out" new.img
  # Again, as the image.
  before=$(stat -c %i "$out/new.img")
  start_nbdkit "image=$out/new.img" "allocator=$allocator"
  nbdcopy "$uri" "$dir/copy.img"
  cmp "$dir/last.img" "$dir/copy.img" || fail "$allocator: another content was loaded"
  stop_nbdkit
  expect_same "$allocator: a disk that has not changed" "$before" "$(stat -c %i "$out/new.img")"
  rm "$out/new.img"
done

# image= where there is none yet; then it grows.
start_nbdkit 1M "image=$out/new.img"
nbdsh -u "$uri" -c 'h.pwrite(b"first", 5000)'
stop_nbdkit
start_nbdkit 2M "image=$out/new.img"
nbdsh -u "$uri" -c 'assert h.pread(5, 5000) == b"first"' -c 'h.pwrite(b"second", 2000000)'
stop_nbdkit
expect_same "the size" $((2 << 20)) "$(stat -c %s "$out/new.img")"
expect_same "the content" first "$(bytes_at 5000 5 "$out/new.img")"
# From one file to another; nothing is written while nothing has changed.
start_nbdkit "load=$out/new.img" "save=$out/other.img"
stop_nbdkit
only_files "$out" new.img
start_nbdkit "load=$out/new.img" "save=$out/other.img"
nbdsh -u "$uri" -c 'h.pwrite(b"third", 5000)'
stop_nbdkit
expect_same "the content" third "$(bytes_at 5000 5 "$out/other.img")"
expect_same "the old content" first "$(bytes_at 5000 5 "$out/new.img")"
# An image is kept by one server at a time, however it is started or has ended; others may load it.
nbdkit -U "$dir/kept.sock" -P "$dir/back.pid" "$plugin" "image=$out/new.img"
becomes "no pid" test -s "$dir/back.pid"
back=$(cat "$dir/back.pid")
at_exit 'kill "$back" 2>/dev/null'
one_error 'image=.*new.img: is locked already' "image=$out/new.img"
start_nbdkit "load=$out/new.img" "save=$out/other.img"
stop_nbdkit
kill "$back"
becomes "ended in the background" bash -c "! kill -0 $back 2>/dev/null"
rm "$dir/back.pid"
start_nbdkit "image=$out/new.img"
one_error 'image=.*new.img: is locked already' "image=$out/new.img"
nbdsh -u "$uri" -c 'h.pwrite(b"first", 5000)'
kill -KILL "$pid"
wait "$pid" 2>/dev/null || :
nbdkit -U - "$plugin" "image=$out/new.img" --run true
# Every kind of change counts, and reading does not.
for change in 'h.pwrite(b"x", 0)' 'h.trim(4096, 0)' 'h.zero(4096, 0)'; do
  before=$(stat -c %i "$out/new.img")
  start_nbdkit "image=$out/new.img"
  nbdsh -u "$uri" -c "$change"
  stop_nbdkit
  [ "$before" != "$(stat -c %i "$out/new.img")" ] || fail "not saved after $change"
done
before=$(stat -c %i "$out/new.img")
nbdkit_options=(-r)
start_nbdkit "image=$out/new.img"
nbdsh -u "$uri" -c 'h.pread(1 << 20, 0)' -c 'h.flush()' -c 'h.cache(4096, 0)'
stop_nbdkit
nbdkit_options=()
expect_same "a disk that was only read" "$before" "$(stat -c %i "$out/new.img")"
rm "$out"/*

# ---- however nbdkit ends

saved() { # WHAT: the letter that every way below writes
  expect_same "saved, $1" x "$(head -c 1 "$out/end.img")"
  only_files "$out" end.img
  rm "$out/end.img"
}
write_x='h.pwrite(b"x", 0)'
for signal in TERM INT QUIT HUP; do
  start_nbdkit 1M "save=$out/end.img"
  nbdsh -u "$uri" -c "$write_x"
  kill -"$signal" "$pid"
  wait "$pid" || fail "nbdkit ended with status $?"
  saved "after SIG$signal"
done
nbdkit -U - "$plugin" 1M "save=$out/end.img" --run "nbdsh -u \"\$uri\" -c '$write_x'"
becomes "saved after --run" test -e "$out/end.img"
saved "after --run"
nbdkit -f -U "$dir/exitlast.sock" --filter=exitlast "$plugin" 1M "save=$out/end.img" &
pid=$!
at_exit "end_child $pid"
becomes "no socket" test -S "$dir/exitlast.sock"
nbdsh -u "nbd+unix:///?socket=$dir/exitlast.sock" -c "$write_x"
wait "$pid" || fail "nbdkit ended with status $?"
saved "after the last client (exitlast)"
if nbdkit --filter=exitwhen null --dump-plugin >/dev/null 2>&1; then
  nbdkit -f -U "$dir/exitwhen.sock" --filter=exitwhen "$plugin" 1M "save=$out/end.img" \
    "exit-when-file-created=$dir/now" exit-when-poll=1 &
  pid=$!
  at_exit "end_child $pid"
  becomes "no socket" test -S "$dir/exitwhen.sock"
  nbdsh -u "nbd+unix:///?socket=$dir/exitwhen.sock" -c "$write_x"
  touch "$dir/now"
  wait "$pid" || fail "nbdkit ended with status $?"
  saved "after an event (exitwhen)"
fi
nbdsh -c "h.connect_command(['nbdkit', '-s', '$(realpath "$plugin")', '1M', 'save=$out/end.img'])" \
  -c "$write_x" -c 'h.shutdown()'
becomes "saved after standard input" test -e "$out/end.img"
saved "after standard input has ended (-s)"
# While a client is connected and writing.
start_nbdkit 64M "save=$out/end.img"
nbdsh -u "$uri" -c - <<'PYTHON' >/dev/null 2>&1 &
import os
h.pwrite(b"x", 0)
while True:
    h.pwrite(os.urandom(1 << 16), 1 << 20)
PYTHON
client=$!
at_exit "end_child $client"
sleep 0.5
stop_nbdkit
saved "under a client that writes"

# In the background, by a relative path, through a link, with the old mode and owner.
echo old >"$out/end.img"
chmod 640 "$out/end.img"
[ "$(id -u)" -ne 0 ] || chown 12345:23456 "$out/end.img"
before=$(stat -c '%a %u %g' "$out/end.img")
ln -s out/end.img "$dir/link.img"
full_plugin=$(realpath "$plugin")
(cd "$dir" && nbdkit -U back.sock -P back.pid "$full_plugin" 1M save=link.img)
becomes "no pid" test -s "$dir/back.pid"
back=$(cat "$dir/back.pid")
at_exit 'kill "$back" 2>/dev/null'
nbdsh -u "nbd+unix:///?socket=$dir/back.sock" -c "$write_x"
kill "$back"
becomes "saved in the background" bash -c "[ \$(stat -c %s '$out/end.img') -eq 1048576 ]"
becomes "ended in the background" bash -c "! kill -0 $back 2>/dev/null"
[ -L "$dir/link.img" ] || fail "the link was replaced"
expect_same "the mode and the owner" "$before" "$(stat -c '%a %u %g' "$out/end.img")"
saved "in the background"
# A new file has the mode that nbdkit's own umask, 022, leaves.
nbdkit -U - "$plugin" 1M "save=$out/end.img" --run "nbdsh -u \"\$uri\" -c '$write_x'"
becomes "saved" test -e "$out/end.img"
expect_same "the mode of a new file" 644 "$(stat -c %a "$out/end.img")"
saved "as a new file"

# ---- what cannot be

one_error 'save=: the path of the file is missing' 1M save=
one_error 'save=.*its directory cannot be used: No such file' 1M "save=$dir/missing/x"
one_error 'save=.*is there, and is not a regular file' 1M "save=$out"
one_error 'save=/dev/null: is there, and is not a regular file' 1M save=/dev/null
one_error 'image=/dev/null: is there, and is not a regular file' image=/dev/null
one_error 'save=/proc/disk.img: no file can be made in /proc' 1M save=/proc/disk.img
ln -s nowhere "$dir/dangling"
one_error 'save=.*is a link to something that does not exist' 1M "save=$dir/dangling"
[ -c /dev/null ] || fail "/dev/null was replaced"
(
  ulimit -f 1000
  one_error 'save=.*: this process may make no files of more than 1024000 bytes \(ulimit -f\)' 1M "save=$out/end.img"
)
if ! truncate -s 8388607T "$dir/largest" 2>/dev/null; then
  one_error 'save=.*: no file of 9223370937343148032 bytes can be made there: File too large' 8388607T \
    "save=$out/end.img"
fi
# What cannot be replaced, although its directory can be written.
echo old >"$out/end.img"
if [ "$(id -u)" -eq 0 ] && chattr +i "$out/end.img" 2>/dev/null; then
  at_exit 'chattr -i "$out/end.img" 2>/dev/null'
  one_error 'save=.*: is immutable or append-only' 1M "save=$out/end.img"
  chattr -i "$out/end.img"
else
  echo "left out: no file can be made immutable here"
fi
if [ "$(id -u)" -eq 0 ] && touch "$dir/mounted" && mount --bind "$dir/mounted" "$out/end.img" 2>/dev/null; then
  at_exit '! mountpoint -q "$out/end.img" || umount "$out/end.img"'
  one_error 'save=.*: is mounted by itself' 1M "save=$out/end.img"
  umount "$out/end.img"
else
  echo "left out: no file can be mounted here"
fi
rm "$out/end.img"
only_files "$out"

# As another user, before anything is served; and what that user may do works.
if [ "$(id -u)" -eq 0 ] && getent passwd nobody >/dev/null; then
  copy_plugin_for_others
  (
    plugin=$dir/nbdkit-memory-plugin.so
    nbdkit_options=(-u nobody)
    mkdir -m 755 "$dir/roots"
    one_error 'save=.*no file can be made in .*/roots: Permission denied' 1M "save=$dir/roots/x"
    mkdir -m 1777 "$dir/sticky"
    echo roots >"$dir/sticky/x"
    one_error 'save=.*belongs to another user' 1M "save=$dir/sticky/x"
    expect_same "the file of another user" roots "$(cat "$dir/sticky/x")"
  )
  chown nobody "$out"
  nbdkit -U "$dir/sticky/sock" -u nobody "$dir/nbdkit-memory-plugin.so" 1M "save=$out/end.img" \
    --run "nbdsh -u \"\$uri\" -c '$write_x'"
  becomes "saved as nobody" test -e "$out/end.img"
  expect_same "whose the file is" nobody "$(stat -c %U "$out/end.img")"
  saved "as nobody"
  # The members of a group that the old file was not of get nothing that only its own group had.
  echo old >"$out/end.img"
  chown 12345:23456 "$out/end.img"
  chmod 664 "$out/end.img"
  nbdkit -U "$dir/sticky/sock2" -u nobody "$dir/nbdkit-memory-plugin.so" 1M "save=$out/end.img" \
    --run "nbdsh -u \"\$uri\" -c '$write_x'"
  becomes "saved as nobody" bash -c "[ \$(stat -c %s '$out/end.img') -eq 1048576 ]"
  expect_same "whose the file is" "644 nobody" "$(stat -c '%a %U' "$out/end.img")"
  saved "as nobody, who may not keep the group"
else
  echo "left out: changing the user needs root"
fi

# A filesystem that is full: a warning at the start, and at the end the old image stays.
if [ "$(id -u)" -eq 0 ] && mkdir "$dir/small" && mount -t tmpfs -o size=2M none "$dir/small" 2>/dev/null; then
  at_exit 'umount "$dir/small"'
  for allocator in $(allocators); do
    echo old >"$dir/small/end.img"
    start_nbdkit 16M "save=$dir/small/end.img" "allocator=$allocator" 2>"$dir/log"
    expect_lines "the log" "$(cat "$dir/log")" 'save=.*warning: there is room for [0-9]* bytes.*, and the disk may hold 16777216 bytes \(16 MiB\)'
    nbdcopy "$dir/disk.img" "$uri"
    stop_nbdkit
    expect_lines "the log" "$(cat "$dir/log")" 'save=.*: saving failed: the new file cannot be written: No space left on device'
    expect_same "the old image" old "$(cat "$dir/small/end.img")"
    only_files "$dir/small" end.img
  done
else
  echo "left out: no small filesystem can be mounted"
fi

# Calls that fail, early and late.
if build_fail_io; then
  for allocator in $(allocators); do
    for call in ftruncate pwrite fsync rename; do
      for after in 0 5; do
        [ "$call" = pwrite ] || [ "$after" -eq 0 ] || continue
        echo old >"$out/end.img"
        failing "FAIL_CALL=$call" FAIL_NAME=.end.img.saving FAIL_ERROR=5 "FAIL_AFTER=$after"
        start_nbdkit "$size" "save=$out/end.img" "allocator=$allocator" 2>"$dir/log"
        working
        nbdcopy "$dir/disk.img" "$uri"
        stop_nbdkit
        expect_lines "$call" "$(cat "$dir/log")" 'save=.*end.img: saving failed: .*: Input/output error'
        expect_same "$call: the old image" old "$(cat "$out/end.img")"
        only_files "$out" end.img
      done
    done
  done
fi

# Of a private image nobody else sees even a moment: the new file does not wait for its mode.
if [ -e "$dir/fail-io.so" ]; then
  echo old >"$out/end.img"
  chmod 600 "$out/end.img"
  failing FAIL_CALL=fchmod FAIL_NAME=.end.img.saving FAIL_ERROR=1
  start_nbdkit 1M "save=$out/end.img"
  working
  nbdsh -u "$uri" -c "$write_x"
  stop_nbdkit
  expect_same "the mode of a private image" 600 "$(stat -c %a "$out/end.img")"
  saved "with a mode that cannot be changed"
fi

# Of the two syncs the second is the directory's: the new image is there by then, and whole.
if [ -e "$dir/fail-io.so" ]; then
  echo old >"$out/end.img"
  failing FAIL_CALL=fsync FAIL_NAME=/out FAIL_ERROR=5 FAIL_AFTER=1
  start_nbdkit "$size" "save=$out/end.img" 2>"$dir/log"
  working
  nbdcopy "$dir/disk.img" "$uri"
  stop_nbdkit
  expect_lines "the log" "$(cat "$dir/log")" \
    'save=.*: saving failed: the new image is in its place, but the directory cannot be synced: Input/output error'
  cmp "$dir/disk.img" "$out/end.img" || fail "the new image is not whole"
  only_files "$out" end.img
fi

# A small filesystem on a loop device, which keeps what is written for a while before it finds out.
if [ "$(id -u)" -eq 0 ] && [ -e /dev/loop-control ] && command -v mkfs.ext4 >/dev/null &&
  truncate -s 6M "$dir/ext4.img" && mkfs.ext4 -q -F -O ^has_journal "$dir/ext4.img" && mkdir "$dir/ext4" &&
  mount -o loop "$dir/ext4.img" "$dir/ext4" 2>/dev/null; then
  at_exit 'umount "$dir/ext4"'
  for allocator in $(allocators); do
    echo old >"$dir/ext4/end.img"
    start_nbdkit "$size" "save=$dir/ext4/end.img" "allocator=$allocator" 2>"$dir/log"
    nbdsh -u "$uri" -c 'import os' -c 'for at in range(0, 8 << 20, 1 << 20): h.pwrite(os.urandom(1 << 20), at)'
    stop_nbdkit
    expect_lines "the log" "$(cat "$dir/log")" 'save=.*: saving failed: the new file cannot be .*: No space left on device'
    expect_same "the old image" old "$(cat "$dir/ext4/end.img")"
    only_files "$dir/ext4" end.img lost+found
    # When the disk holds less, it can be saved.
    start_nbdkit "$size" "save=$dir/ext4/end.img" "allocator=$allocator" 2>"$dir/log"
    nbdcopy "$dir/noise.img" "$uri"
    stop_nbdkit
    cmp -n $((1 << 20)) "$dir/noise.img" "$dir/ext4/end.img" || fail "$allocator: not saved where there is room"
  done
else
  echo "left out: no small filesystem can be mounted from a loop device"
fi

# With -v the log says what was done.
nbdkit_options=(-v)
start_nbdkit 1M "save=$out/end.img" 2>"$dir/log"
nbdsh -u "$uri" -c "$write_x"
stop_nbdkit
expect_lines "the log" "$(cat "$dir/log")" 'debug: save=.*end.img: [0-9]+ bytes of data, in [0-9.]+ seconds'
