# What tests of load=, save= and image= share; for tests that source functions.sh first.
# shellcheck shell=bash disable=SC2154  # $dir and $plugin come from functions.sh

# make_image FILE BYTES: noise, text and holes at odd places, with a hole at each end.
make_image() {
  python3 - "$1" "$2" <<'PYTHON'
import os, sys
path, size = sys.argv[1], int(sys.argv[2])
with open(path, "wb") as f:
    f.truncate(size)
    at = size // 7
    while at < size * 6 // 7:
        f.seek(at)
        f.write(os.urandom(70001))
        f.write(b"some text, over and over\n" * 3000)
        at += 450003
PYTHON
}

# The blocks of 512 bytes that a file takes.
blocks() { stat -c %b "$1"; }

# becomes WHAT COMMAND...: within half a minute the command succeeds.
becomes() {
  local what=$1 tries
  shift
  for ((tries = 0; tries < 600; tries++)); do
    ! "$@" || return 0
    sleep 0.05
  done
  fail "$what"
}

# only_files DIRECTORY NAME...: nothing else lies there.
only_files() {
  local directory=$1
  shift
  expect_same "what lies in $directory" "$(printf '%s\n' "$@" | sort)" "$(ls -A "$directory")"
}

# one_error PATTERN ARGUMENT...: nbdkit refuses these with one line, in the foreground, in the
# background and with --run, before it serves.
one_error() {
  local pattern=$1 how errors status
  shift
  for how in "" -f "--run=true"; do
    status=0
    # shellcheck disable=SC2086  # no word, or one
    errors=$(nbdkit $how "${nbdkit_options[@]}" -U "$(fresh_socket)" "$plugin" "$@" 2>&1 </dev/null) ||
      status=$?
    [ "$status" -ne 0 ] || fail "nbdkit $how accepts: $*"
    expect_lines "nbdkit $how $*" "$errors" "$pattern"
    [ "$(wc -l <<<"$errors")" -eq 1 ] || fail "nbdkit $how $*: more than one line: $errors"
  done
}

# build_fail_io: what failing() needs; says so and fails where it cannot be built.
build_fail_io() {
  cc -O2 -shared -fPIC -o "$dir/fail-io.so" "$(dirname "$0")/fail-io.c" -ldl 2>"$dir/errors" ||
    { echo "left out: the library that has calls fail cannot be built: $(cat "$dir/errors")"; return 1; }
}

# failing VARIABLE=VALUE...: every nbdkit from here on has calls fail as these say, see fail-io.c; until
# working.
nbdkit_program=$(type -P nbdkit)
mkdir "$dir/bin"
PATH=$dir/bin:$PATH
failing() {
  printf '#!/bin/sh\nexec env LD_PRELOAD=%s %s %s "$@"\n' "$dir/fail-io.so" "$*" "$nbdkit_program" \
    >"$dir/bin/nbdkit"
  chmod +x "$dir/bin/nbdkit"
  hash -r
}
working() {
  rm -f "$dir/bin/nbdkit"
  hash -r
}
