#!/usr/bin/env bash
# Proves that no filter of nbdkit that starts over a disk with a statistics export loses a byte of it,
# and that those which would are refused, with a message that names what to do instead.
. "$(dirname "$0")/functions.sh"
requires python3
python3 -c 'import nbd' 2>/dev/null || skip "python3 has no nbd module"
python3 "$(dirname "$0")/stats-filters.py" "$plugin" "$dir" || fail "see above"
