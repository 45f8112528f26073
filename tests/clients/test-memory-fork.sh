#!/usr/bin/env bash
# Proves that nbdkit ends with an error, and leaves nothing behind, where no process or thread can be
# made any more: going to the background and --run need a fork after the plugin has taken its memory.
. "$(dirname "$0")/functions.sh"
requires setpriv
requires_root # to become somebody who is not

copy_plugin_for_others

# as_nobody PROCESSES ARGUMENT...: runs nbdkit as a user who may have so many processes. Not as
# 65534: others may run as that, or the same test elsewhere on this machine.
nobody=$((100000 + $$))
as_nobody() {
  local processes=$1
  shift
  (
    cd "$dir"
    ulimit -u "$processes"
    become $nobody timeout 20 nbdkit -P "$dir/forked-pid" -U "$dir/fork.sock" ./nbdkit-memory-plugin.so "$@" 2>&1
  )
}

if as_nobody 1 1M --run true >"$dir/log"; then skip "the limit on processes has no effect here"; fi
for allocator in $(allocators); do
  for words in '' '--run true'; do
    status=0
    # shellcheck disable=SC2086  # two words
    errors=$(as_nobody 2 64M "allocator=$allocator" $words) || status=$?
    [ "$status" -ne 0 ] || fail "allocator=$allocator starts with '$words' though it cannot fork"
    [ "$status" -ne 124 ] || fail "allocator=$allocator hangs with '$words'"
    [ "$status" -lt 128 ] || fail "allocator=$allocator crashes with '$words': $status"
    expect_lines "allocator=$allocator '$words'" "$errors" 'fork|Resource temporarily unavailable'
    ! pgrep -u $nobody || fail "a process was left"
    [ -z "$(find /dev/shm -uid $nobody)" ] || fail "shared memory was left"
    rm -f "$dir/fork.sock" "$dir/forked-pid"
  done
done
