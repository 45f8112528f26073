#!/usr/bin/env bash
# Proves, in a guest whose system makes huge pages always, that a disk to which single pages are
# written takes none of them: no 2 MiB for 4 KiB.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/guest.sh"
requires_guest
make_guest nbdkit
cp "$plugin" "$dir/guest/plugin.so"
copy_libraries "$plugin"

run_guest 1024 <<SCRIPT
allocators='$(growing_allocators | tr '\n' ' ')'
$(
  cat <<'GUEST'
echo always >/sys/kernel/mm/transparent_hugepage/enabled

# memory FIELD: KiB of it in the disk's mappings, which are those that no core dump has. (Stacks of
# threads, which are nbdkit's, have huge pages of their own.)
memory() {
  awk -v field="$1:" '
    $1 == field { kib = $2 }
    /^VmFlags:/ { if (/ dd/) sum += kib; kib = 0 }
    END { print sum + 0 }' "/proc/$pid/smaps"
}

for allocator in $allocators; do
  nbdkit -f -U /tmp/socket -P /tmp/pid /plugin.so 8G allocator=$allocator &
  while [ ! -s /tmp/pid ]; do sleep 0.1; done
  pid=$(cat /tmp/pid)
  nbd-client -unix /tmp/socket /dev/nbd0 >/dev/null
  for i in 0 1 2 3 4 5 6 7 8 9; do
    dd if=/bin/busybox of=/dev/nbd0 bs=4k count=1 skip=$i seek=$((i * 65537)) conv=fsync 2>/dev/null
  done
  sleep 2 # time to compress them, if the disk does
  echo "allocator=$allocator: 10 pages: $(memory Rss) KiB, $(memory AnonHugePages) in huge pages"
  [ "$(memory Rss)" -gt 0 ]
  [ "$(memory Rss)" -lt 2048 ]
  [ "$(memory AnonHugePages)" -eq 0 ]
  # Where much is written they are wanted. (allocator=zstd begins at 16 MiB, and takes some small
  # ones to compare with.)
  dd if=/dev/urandom of=/dev/nbd0 bs=1M count=64 seek=1024 conv=fsync 2>/dev/null
  echo "allocator=$allocator: 64 MiB more: $(memory Rss) KiB, $(memory AnonHugePages) in huge pages"
  [ "$(memory AnonHugePages)" -gt 0 ]
  nbd-client -d /dev/nbd0 >/dev/null
  kill $pid
  wait $pid || :
  rm -f /tmp/pid /tmp/socket
done
GUEST
)
SCRIPT
