#!/usr/bin/env bash
# Proves that tests/demo.sh, when it prints into a log, prints no progress bars there and ends with the
# figures and the verdict.
. "$(dirname "$0")/functions.sh"
source=${RAMDISK_SOURCE_DIR:-$(dirname "$0")/../..}
requires nbdcopy nbdinfo mkfs.ext4 e2fsck cmp dpkg-query
has_zstd || skip "this plugin has no zstd"
# A test installs nothing.
mkdir "$dir/bin"
printf '#!/bin/sh\nexit 1\n' >"$dir/bin/apt-get"
chmod +x "$dir/bin/apt-get"
export PATH=$dir/bin:$PATH
sh "$source/tests/setup.sh" demo >"$dir/setup" 2>&1 || skip "the demo lacks packages: $(cat "$dir/setup")"

RAMDISK_PLUGIN=$plugin sh "$source/tests/demo.sh" >"$dir/log" 2>&1 </dev/null ||
  { tail -n 40 "$dir/log"; fail "the demo"; }
! grep -q "$(printf '[\r\033]')" "$dir/log" || fail "the log has what only a terminal shows"
! grep -E '[0-9]+% \[' "$dir/log" || fail "the log has a progress bar"
number='[0-9]+[.][0-9]+'
tail -n 3 "$dir/log" | tr '\n' '|' >"$dir/end"
grep -qEx "== Result\|$number MiB of data are stored in $number MiB of memory: $number to 1\|OK: the copy is \
identical, and its filesystem is clean\|" "$dir/end" || fail "this is the end of the log: $(cat "$dir/end")"
tail -n 3 "$dir/log"
