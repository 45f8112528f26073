#!/usr/bin/env bash
# Proves that mlock=true beyond RLIMIT_MEMLOCK is refused at the start with a message that names the
# limit and `ulimit -l`, and that it works within the limit, for a user without privileges.
. "$(dirname "$0")/functions.sh"
requires setpriv nbdinfo nbdsh
requires_root # to become somebody who is not

copy_plugin_for_others

# as_nobody KIB ARGUMENT...: runs nbdkit with that limit on locked memory.
as_nobody() {
  local limit=$1
  shift
  (
    cd "$dir"
    ulimit -l "$limit"
    become 65534 \
      nbdkit -U "$(fresh_socket)" ./nbdkit-memory-plugin.so "$@" --run 'nbdinfo --size "$uri"' 2>&1
  )
}

for words in allocator=malloc,mlock=true 'allocator=malloc mlock=true'; do
  # shellcheck disable=SC2086  # one or two words
  if errors=$(as_nobody 64 1M $words); then fail "1M is locked with a limit of 64 KiB"; fi
  [ "$(wc -l <<<"$errors")" -eq 1 ] || fail "not one line: $errors"
  expect_lines "$words" "$errors" mlock 'ulimit -l' 1048576 65536
done

# In the background it is the user to which nbdkit changes who may not; the start fails all the same.
if getent passwd nobody >/dev/null; then
  status=0
  errors=$(cd "$dir" && ulimit -l 64 && timeout 60 nbdkit -U "$(fresh_socket)" -u nobody \
    ./nbdkit-memory-plugin.so 1M allocator=malloc,mlock=true </dev/null 2>&1) || status=$?
  expect_same "the status, in the background" 1 "$status"
  expect_lines "in the background" "$errors" mlock 'ulimit -l'
fi

expect_same "the size within the limit" 1048576 "$(as_nobody 2048 1M allocator=malloc,mlock=true)"
expect_same "the size without mlock" 1048576 "$(as_nobody 0 1M allocator=malloc)"

# Disks that grow say at the start that they may not lock anything, and serve while they may.
for allocator in $(growing_allocators); do
  if errors=$(as_nobody 64 1M "allocator=$allocator" mlock=true); then
    fail "allocator=$allocator starts with a limit of 64 KiB"
  fi
  expect_lines "$allocator" "$errors" mlock 'ulimit -l' 2097152 65536
  expect_same "the size" 1048576 "$(as_nobody 8192 1M "allocator=$allocator" mlock=true)"
done

# A disk that may lock no more refuses the write, and keeps what it has.
cat >"$dir/fill.py" <<'PYTHON'
import errno
written = 0
block = bytes(range(256)) * 1024
try:
    while written < 64:
        h.pwrite(block, written * len(block))
        written += 1
    assert False, "64 blocks of 256 KiB were locked within 8 MiB"
except nbd.Error as error:
    assert error.errnum in (errno.ENOMEM, errno.ENOSPC), error
assert written > 0
for i in range(written):
    assert h.pread(len(block), i * len(block)) == block, i
PYTHON
chmod 644 "$dir/fill.py"
(
  cd "$dir"
  ulimit -l 8192
  become 65534 nbdkit -U "$(fresh_socket)" ./nbdkit-memory-plugin.so 1G mlock=true \
    --run "nbdsh -u \"\$uri\" -c - <'$dir/fill.py'" 2>&1
) || fail "a disk that may lock 8 MiB"
