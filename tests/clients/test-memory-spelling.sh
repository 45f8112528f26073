#!/usr/bin/env bash
# Proves that every spelling of the parameters that the manual allows means what it says.
. "$(dirname "$0")/functions.sh"
requires nbdinfo

# locked_kib ARGUMENT...: how much memory the server with these parameters has locked.
locked_kib() {
  start_nbdkit 1M "$@"
  locked=$(awk '/^VmLck:/ { print $2 }' "/proc/$pid/status")
  stop_nbdkit
}

for words in allocator=malloc,mlock=true 'allocator=malloc mlock=true' 'mlock=true allocator=malloc' \
  allocator=malloc,mlock allocator=malloc,mlock=1 allocator=malloc,mlock=yes \
  allocator=malloc,mlock=ON 'allocator=malloc mlock=on' allocator=malloc,mlock=false,mlock=true \
  'allocator=malloc mlock=no mlock=yes' 'allocator=sparse allocator=malloc,mlock=true' \
  'allocator=malloc,mlock=false mlock=true'; do
  # shellcheck disable=SC2086  # one or two words
  locked_kib $words
  [ "$locked" -ge 1024 ] || fail "'$words' locks $locked KiB"
done
for words in '' allocator=malloc allocator=malloc,mlock=false allocator=malloc,mlock=0 \
  allocator=malloc,mlock=OFF 'allocator=malloc mlock=false' 'mlock=false' \
  'allocator=malloc,mlock=true allocator=sparse' 'allocator=malloc,mlock=true mlock=false'; do
  # shellcheck disable=SC2086
  locked_kib $words
  [ "$locked" -eq 0 ] || fail "'$words' locks $locked KiB"
done

# The description tells which allocator is in use.
description() {
  nbdkit -U - "$plugin" 1M "$@" --run 'nbdinfo "$uri"' | grep description:
}
for allocator in $(allocators); do
  expect_lines "allocator=$allocator" "$(description "allocator=$allocator")" "\\<$allocator\\>"
done
expect_lines "the default" "$(description)" '\<sparse\>'
expect_lines "the last allocator" "$(description allocator=malloc allocator=sparse)" '\<sparse\>'

if has_zstd; then
  for level in 1 3 19 22 -5 0; do
    nbdkit -U - "$plugin" 1M "allocator=zstd,level=$level" \
      --run 'nbdsh -u "$uri" -c "h.pwrite(b\"text \" * 10000, 1); assert h.pread(50000, 1) == b\"text \" * 10000"' ||
      fail "level=$level does not work"
  done
fi
