#!/usr/bin/env bash
# Proves that max-memory= holds: a fill ends with ENOSPC and a message, what was written before reads
# back, reads, trims and overwrites go on, after a trim writes work again; that 80, 90 and 95 % are
# said in the log; and that the description shows the limit.
. "$(dirname "$0")/functions.sh"
requires nbdsh nbdinfo

cat >"$dir/script.py" <<'PYTHON'
block = 1 << 16
filler = Filler(h, block, [errno.ENOSPC])
data, fill = filler.data, filler.fill

written = fill(0)
assert 56 << 20 < written * block < 65 << 20, written * block
for i in range(written):
    assert h.pread(block, i * block) == data(i), i
# What is there can be written again, zeroed, and trimmed.
for i in range(written - 2):
    h.pwrite(data(i + 1), i * block)
for i in range(written - 2):
    assert h.pread(block, i * block) == data(i + 1), i
h.zero(block, 0)
assert h.pread(block, 0) == bytes(block)
h.trim(written // 2 * block, 0)
again = fill(written)
assert again - written > written * 4 // 10, (written, again)
for i in range(written // 2 + 1, written - 2):
    assert h.pread(block, i * block) == data(i + 1), i
for i in range(written, again):
    assert h.pread(block, i * block) == data(i), i
PYTHON

for allocator in $(growing_allocators); do
  start_nbdkit 1G "allocator=$allocator" max-memory=64M 2>"$dir/log"
  cat "$(dirname "$0")/fill.py" "$dir/script.py" | nbdsh -u "$uri" -c - || fail "allocator=$allocator"
  description=$(nbdinfo --json "$uri")
  expect_lines "the description" "$description" ': [0-9.]+M in [0-9.]+M of memory, [0-9.]+:1, limit 64M"'
  stop_nbdkit
  for mark in 80 90 95; do
    expect_lines "the log" "$(cat "$dir/log")" "warning: $mark % of the memory .* of 67108864 bytes \(64 MiB\)"
  done
  expect_lines "the log" "$(cat "$dir/log")" 'no space left: .*max-memory'
done

# Percentages, no limit, and what cannot be meant.
description=$(nbdkit -U - "$plugin" 1M max-memory=50% --run 'nbdinfo "$uri"')
expect_lines "a percentage" "$description" 'limit [0-9.]+[MGT]$'
description=$(nbdkit -U - "$plugin" 1M max-memory=none --run 'nbdinfo "$uri"')
! grep -q limit <<<"$description" || fail "none is a limit"
for value in 0% 101% % x x% -1 1.5% 8E; do
  errors=$(errors_of 1M "max-memory=$value")
  expect_lines "max-memory=$value" "$errors" "max-memory=|parse.*size|size"
done
expect_lines "malloc" "$(errors_of 64M allocator=malloc max-memory=63M)" \
  'cannot take 67108864 bytes \(64 MiB\) of memory: 66060288 bytes \(63 MiB\) are left \(max-memory\)'
nbdkit -U - "$plugin" 64M allocator=malloc max-memory=64M --run 'nbdinfo --size "$uri"' >/dev/null ||
  fail "a malloc disk of just the limit is refused"
! has_zstd || errors_of 1M allocator=zstd max-memory=1K >/dev/null
