#!/usr/bin/env bash
# Proves that -D memory.dir=1 prints directory operations under -v, and nothing prints them without;
# and that -v says how this CPU copies.
. "$(dirname "$0")/functions.sh"
requires nbdsh

# directories ARGUMENT...: how many lines of nbdkit's output are about directories.
directories() {
  nbdkit -U - "$@" --run 'nbdsh -u "$uri" -c "
h.pwrite(b\"x\", 0)
h.pwrite(b\"x\", h.get_size() - 1)
h.trim(h.get_size(), 0)
"' 2>&1 | grep -cE 'memory.*(directory|L[12])' || :
}

for allocator in $(allocators); do
  words=("$plugin" 1G "allocator=$allocator")
  # Two are made, if not more.
  least=2
  if [ "$allocator" = malloc ]; then # has no directories, and need not be so large
    words[1]=4M
    least=0
  fi
  count=$(directories -v -D memory.dir=1 "${words[@]}")
  [ "$count" -ge "$least" ] || fail "allocator=$allocator prints $count directory operations"
  expect_same "lines with the flag off" 0 "$(directories -v -D memory.dir=0 "${words[@]}")"
  expect_same "lines without the flag" 0 "$(directories -v "${words[@]}")"
  expect_same "lines without -v" 0 "$(directories -D memory.dir=1 "${words[@]}")"
done

copies() {
  nbdkit -U - "$@" "$plugin" 1M --run true 2>&1 | grep -c 'copies: pages are read with' || :
}
expect_same "lines about copies under -v" 1 "$(copies -v)"
expect_same "lines about copies without -v" 0 "$(copies)"
