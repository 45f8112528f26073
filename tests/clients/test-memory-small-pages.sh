#!/usr/bin/env bash
# Proves that every allocator works in a process to which the system gives no huge pages.
. "$(dirname "$0")/functions.sh"
requires nbdsh python3

mkdir "$dir/bin"
cat >"$dir/bin/nbdkit" <<PYTHON
#!$(command -v python3)
import ctypes, os, sys
PR_SET_THP_DISABLE = 41
if ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0:
    sys.exit("this system cannot turn huge pages off")
os.execv("$(command -v nbdkit)", ["nbdkit"] + sys.argv[1:])
PYTHON
chmod +x "$dir/bin/nbdkit"
"$dir/bin/nbdkit" --version >/dev/null || skip "this system cannot turn huge pages off"
PATH=$dir/bin:$PATH

for allocator in $(allocators); do
  start_nbdkit 100M "allocator=$allocator"
  check_disk "$allocator"
  huge=$(awk '/^AnonHugePages:/ { print $2 }' "/proc/$pid/smaps_rollup")
  [ "$huge" -eq 0 ] || fail "allocator=$allocator: there are $huge KiB of huge pages"
  stop_nbdkit
done
