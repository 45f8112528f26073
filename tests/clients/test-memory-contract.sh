#!/usr/bin/env bash
# Proves that the plugin answers as the distribution's does, but for the differences written here.
. "$(dirname "$0")/functions.sh"
requires nbdinfo nbdsh
requires_old_plugin

# Runs a command that uses $plugin with the distribution's instead.
theirs() {
  local plugin=$old_plugin
  "$@"
}

# same COMMAND...: both print the same.
same() {
  expect_same "$*" "$(theirs "$@")" "$("$@")"
  echo "same: $*"
}

# only_added "LINE..." COMMAND...: ours prints all that theirs prints, and of other lines only those
# that match one of these patterns. (A newer plugin than that of nbdkit 1.32 may print them too.)
only_added() {
  local allowed=$1 lost added
  shift
  lost=$(comm -23 <(theirs "$@" | sort) <("$@" | sort))
  [ -z "$lost" ] || fail "$*: only the distribution's plugin prints: $lost"
  added=$(comm -13 <(theirs "$@" | sort) <("$@" | sort) | grep -vxE -- "$allowed" || :)
  [ -z "$added" ] || fail "$*: only ours prints: $added"
  echo "same but for what was added: $*"
}

dump() { dump_plugin "$plugin" | grep -vE '^(path|version|struct_size)='; }
callbacks='longname|description|load|after_fork|cleanup|close|export_description|block_size|list_exports|can_write|can_extents'
only_added "has_($callbacks)=1|(ramdisk|zstd)_[a-z_]+=.+" dump

info() { nbdkit -U - "$plugin" "$@" --run 'nbdinfo "$uri"' | grep -v 'uri:'; }
for allocator in $(allocators); do
  for size in 0 1 1M 100000001; do
    only_added '.description: .+|.block_size_(minimum|preferred|maximum): [0-9]+' \
      info "$size" "allocator=$allocator"
  done
done

# What a client sees of a disk with some data, in pieces of the distribution's page size.
map() {
  nbdkit -U - "$plugin" "$@" --run 'nbdsh -u "$uri" -c "
h.pwrite(b\"x\" * 131072, 1048576)
h.pwrite(b\"x\" * 65536, 134217728)
h.trim(65536, 1048576)
" && nbdinfo --map "$uri" && nbdinfo --map --totals "$uri"'
}
same map 200M
same map 200M allocator=malloc
same map 1T allocator=sparse

# result ARGUMENT...: what nbdkit prints and how it ends.
result() {
  local status=0
  nbdkit -U "$(fresh_socket)" "$plugin" "$@" --run 'nbdinfo --size "$uri"' 2>&1 || status=$?
  echo "exit status $status"
}

# As result, but only how it ends where the parameters are refused, because our messages say more. (They are
# in the table of mistakes of config_test.cc, and in test-memory-sizes.sh.)
outcome() {
  local all
  all=$(result "$@")
  if [[ $all == *'exit status 0' ]]; then echo "$all"; else tail -n 1 <<<"$all"; fi
}
sizes=(0 1 511 1M 1m 1s 2S 7E 9223372036854775807 9223372036854775808 8E 16E -1 -0 +5 '' ' ' ' 1M'
  '1M ' 1.5M 0x100 0100 1Q 1MM 1Mfoo abc 99999999999999999999 -9223372036854775808)
for size in "${sizes[@]}"; do same outcome "size=$size"; done
same outcome
same outcome 1M
same outcome 1 2
same outcome size=1M size=2M
same outcome size=abc size=2M
same outcome 1M allocator=sparse
same outcome 1M allocator=malloc
same outcome 1M allocator=malloc,mlock=true
same outcome 1M allocator=malloc,mlock=false
same outcome 1M allocator=malloc,mlock
same outcome 1M allocator=malloc allocator=sparse
same outcome allocator=malloc
if has_zstd && grep -qx zstd=yes <<<"$(dump_plugin "$old_plugin")"; then
  same outcome 1M allocator=zstd
  same outcome 100T allocator=zstd
fi

# The differences that are meant: "STATUS OF THEIRS, STATUS OF OURS, what ours is for".
# Statuses say which of the two refuse; how ours refuses is checked by test-memory-errors.sh.
while read -r old new words; do
  # shellcheck disable=SC2086  # words are arguments
  statuses="$(theirs result 1M $words | tail -n 1) $(result 1M $words | tail -n 1)"
  expect_same "the exit statuses with $words" "exit status $old exit status $new" "$statuses"
done <<'LIST'
0 1 allocator=
0 1 allocator=s
0 1 allocator=mal
0 1 allocator=zst
1 0 mlock=false
1 0 allocator=malloc mlock=true
1 1 allocator=foo
1 1 allocator=sparse,x=1
1 1 allocator=malloc,mlock=maybe
1 0 mlock=true
1 1 foo=1
LIST
