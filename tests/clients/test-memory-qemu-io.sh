#!/usr/bin/env bash
# Proves that qemu-io reads back what it wrote, zeroed and discarded, also at the end of the largest
# disk that there is.
. "$(dirname "$0")/functions.sh"
requires qemu-io

# run COMMAND...: gives these commands to qemu-io; a pattern that does not match is a failure,
# which qemu-io tells only in what it prints.
run() {
  local words=() command output
  for command; do words+=(-c "$command"); done
  output=$(qemu-io -f raw -t writeback -d unmap "${words[@]}" "$uri" 2>&1) || fail "qemu-io: $output"
  ! grep -iE 'fail|error|verification' <<<"$output" || fail "qemu-io: $output"
}

# around OFFSET: writes 1 MiB there and puts every kind of hole into it.
around() {
  local at=$1
  run "write -P 1 $at 1M" "read -P 1 $at 1M" \
    "write -P 2 -f $((at + 12345)) 54321" "read -P 2 $((at + 12345)) 54321" \
    "write -z $((at + 100000)) 100000" "read -P 0 $((at + 100000)) 100000" \
    "write -z -u $((at + 300000)) 65536" "read -P 0 $((at + 300000)) 65536" \
    "discard $((at + 524288)) 131072" "read -P 0 $((at + 524288)) 131072" \
    "read -P 1 $at 12345" "read -P 1 $((at + 200000)) 100000" \
    "read -P 1 $((at + 655360)) 393216" "flush" \
    "aio_write -P 3 $at 64k" "aio_write -P 4 $((at + 65536)) 64k" "aio_flush" \
    "read -P 3 $at 64k" "read -P 4 $((at + 65536)) 64k"
}

for allocator in $(allocators); do
  start_nbdkit 256M "allocator=$allocator"
  around 0
  around $((128 * 1048576 - 500000))
  around $((255 * 1048576))
  stop_nbdkit
  [ "$allocator" != malloc ] || continue

  # qemu wants 1 GiB less than 2^63 at most. With the offset filter that ends where the disk ends.
  most=$((2 ** 63 - 2 ** 30))
  nbdkit_options=(--filter=offset)
  start_nbdkit $((2 ** 63 - 1)) "allocator=$allocator" offset=$((2 ** 30 - 1)) "range=$most"
  nbdkit_options=()
  around 0
  around $((2 ** 62 - 500000))
  around $((most - 1048576))
  run "read -P 0 $((most - 4194304)) 2M" "discard $((most - 2097152)) 2M" \
    "read -P 0 $((most - 2097152)) 2M"
  stop_nbdkit

  # Of a larger one it says so, and the server takes no harm.
  start_nbdkit $((2 ** 63 - 1)) "allocator=$allocator"
  if qemu-io -f raw -c 'read 0 512' "$uri" >"$dir/output" 2>&1; then
    run "read -P 0 $((2 ** 63 - 65536)) 512" # a newer qemu that can
  else
    expect_lines "qemu-io" "$(cat "$dir/output")" 'too large'
  fi
  stop_nbdkit
done
