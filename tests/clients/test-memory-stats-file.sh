#!/usr/bin/env bash
# Proves that stats-file= keeps a file with the statistics: whole documents in both formats, new ones
# soon after a change and none without, the last one when the disk has ended; by whatever way nbdkit
# is started, and with a clear error where the file cannot be written.
. "$(dirname "$0")/functions.sh"
requires nbdsh nbdcopy nbdinfo python3

mkdir "$dir/out"
file=$dir/out/disk.json

# value FILE NAME: a figure of a document in JSON, which has to be whole.
value() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }

# becomes WHAT EXPECTED COMMAND...: within some seconds the command prints that.
becomes() {
  local what=$1 expected=$2 tries
  shift 2
  for ((tries = 0; tries < 400; tries++)); do
    [ "$("$@" 2>/dev/null)" != "$expected" ] || return 0
    sleep 0.05
  done
  fail "$what: expected $expected, got $("$@" 2>&1)"
}

only_file() { expect_same "what lies in the directory" "$(basename "$1")" "$(ls -A "$(dirname "$1")")"; }

# Every allocator; the file says the same as the export, but for what is counted while it is read.
for allocator in $(allocators); do
  start_nbdkit 32M "allocator=$allocator" stats-export=stats "stats-file=$file"
  becomes "ended" 0 value "$file" ended
  nbdsh -u "$uri" -c 'import os' -c 'h.pwrite(os.urandom(1 << 20), 0)' -c 'h.zero(4096, 0)'
  [ "$allocator" = malloc ] || becomes "stored" $(((1 << 20) - 4096)) value "$file" stored_bytes
  becomes "requests" 1 python3 -c 'import json, sys
requests = json.load(open(sys.argv[1]))["requests_total"]
print(*(r["value"] for r in requests if r["operation"] == "write"))' "$file"
  nbdcopy "nbd+unix:///stats?socket=$socket" - >"$dir/export"
  expect_same "the members" "$(python3 -c 'import json, sys; print(*json.load(open(sys.argv[1])))' "$dir/export")" \
    "$(python3 -c 'import json, sys; print(*json.load(open(sys.argv[1])))' "$file")"
  [ "$(stat -c %a "$file")" = 644 ] || fail "others cannot read the file"
  only_file "$file"
  # Whoever reads it at any moment reads a whole one, though it is written again and again.
  nbdsh -u "$uri" -c - <<PYTHON || fail "a document in pieces"
import json, time
until = time.monotonic() + 2.5
seen = set()
while time.monotonic() < until:
    for i in range(20):
        h.pwrite(b"x" * 4096, i << 12)
    with open("$file") as f:
        seen.add(json.dumps(json.load(f)))
assert 2 <= len(seen) <= 4, len(seen)       # at most one a second
PYTHON
  stop_nbdkit
  expect_same "ended" 1 "$(value "$file" ended)"
  only_file "$file"
  rm "$file"
done

# A disk at rest: no new file, and the server sleeps.
start_nbdkit 1M "stats-file=$file"
nbdsh -u "$uri" -c 'h.pwrite(b"x", 0)'
becomes "stored" 4096 value "$file" stored_bytes
before=$(stat -c '%i %y' "$file")
sleep 4
expect_same "the file of an idle disk" "$before" "$(stat -c '%i %y' "$file")"
nbdsh -u "$uri" -c 'h.pwrite(b"x", 4096)' # a request ends its rest
becomes "stored" 8192 value "$file" stored_bytes
stop_nbdkit

# The other format.
start_nbdkit 1M "stats-file=$dir/out/disk.prom" stats-format=prometheus
becomes "the file" 1 bash -c "test -s '$dir/out/disk.prom' && echo 1"
expect_lines "prometheus" "$(cat "$dir/out/disk.prom")" '^nbdkit_memory_ended\{disk="disk"\} 0$' \
  '^nbdkit_memory_size_bytes\{disk="disk"\} 1048576$' '^# TYPE nbdkit_memory_requests_total counter$'
stop_nbdkit
expect_lines "prometheus, at the end" "$(cat "$dir/out/disk.prom")" '^nbdkit_memory_ended\{disk="disk"\} 1$'
rm "$dir"/out/*

# With --run; nbdkit is gone before it returns. The first answer comes after the first document.
nbdkit -U - "$plugin" 1M "stats-file=$file" \
  --run "nbdinfo --size \"\$uri\" && grep '\"ended\": 0' '$file'" || fail "--run"
expect_same "ended, after --run" 1 "$(value "$file" ended)"
rm "$file"

# In the background, where nbdkit leaves its directory, with a relative path.
(cd "$dir/out" && nbdkit -U "$dir/back.sock" -P "$dir/back.pid" "$(realpath "$plugin")" 1M stats-file=./disk.json)
becomes "the pid" 1 bash -c "test -s '$dir/back.pid' && echo 1"
back=$(cat "$dir/back.pid")
at_exit 'kill "$back" 2>/dev/null'
becomes "ended, in the background" 0 value "$file" ended
nbdsh -u "nbd+unix:///?socket=$dir/back.sock" -c 'h.pwrite(b"x", 0)'
becomes "stored, in the background" 4096 value "$file" stored_bytes
kill "$back"
becomes "ended, in the background" 1 value "$file" ended
only_file "$file"
rm "$file"

# Without threads, as under --swap, there is a first and a last document.
if nbdkit -U "$(fresh_socket)" --swap null --run true 2>/dev/null; then
  nbdkit_options=(--swap -v)
  start_nbdkit 1M "stats-file=$file" 2>"$dir/log"
  becomes "ended, with --swap" 0 value "$file" ended
  nbdsh -u "$uri" -c 'h.pwrite(b"x", 0)'
  stop_nbdkit
  nbdkit_options=()
  expect_same "ended, with --swap" 1 "$(value "$file" ended)"
  expect_same "stored, with --swap" 4096 "$(value "$file" stored_bytes)"
  expect_lines "the log, with --swap" "$(cat "$dir/log")" 'stats-file: there is no thread'
  rm "$file"
else
  echo "left out: this user may not lock memory (--swap)"
fi

# What cannot be is an error on the command line, one line of it, and leaves nothing.
one_error() { # PATH PATTERN
  local errors
  errors=$(errors_of 1M "stats-file=$1")
  expect_lines "stats-file=$1" "$errors" "$2"
  [ "$(wc -l <<<"$errors")" -eq 1 ] || fail "more than one message: $errors"
}
one_error "" 'the path of the file is missing'
one_error "$dir/missing/file" 'cannot be written: No such file'
one_error "$dir/out" 'not a regular file'
one_error /dev/null 'not a regular file'
[ -c /dev/null ] || fail "/dev/null was replaced"
[ -z "$(ls -A "$dir/out")" ] || fail "something was left behind"

# A failure while it serves is told once, and the disk goes on.
start_nbdkit 1M "stats-file=$file" 2>"$dir/log"
mv "$dir/out" "$dir/aside"
for i in 1 2 3; do
  nbdsh -u "$uri" -c "h.pwrite(b'x', $i << 12)"
  sleep 1.1
done
mkdir "$dir/out"
nbdsh -u "$uri" -c 'h.pwrite(b"x", 0)'
becomes "stored, when the directory is back" 16384 value "$file" stored_bytes
stop_nbdkit
expect_same "how often a failure was told" 1 "$(grep -c 'cannot be written' "$dir/log")"
rm "$file"

# As another user: nbdkit changes to it after the plugin has got ready.
if [ "$(id -u)" -eq 0 ] && getent passwd nobody >/dev/null; then
  copy_plugin_for_others
  chmod 711 "$dir"
  chown nobody "$dir/out"
  socket=$dir/out/nobody.sock
  nbdkit -U "$socket" -u nobody "$dir/nbdkit-memory-plugin.so" 1M "stats-file=$file" \
    --run "nbdinfo --size \"\$uri\" && stat -c %U '$file'" >"$dir/owner"
  expect_same "whose the file is" nobody "$(tail -n 1 "$dir/owner")"
  expect_same "ended, as nobody" 1 "$(value "$file" ended)"
  # A place that only root can write to is refused too, before anything is served.
  mkdir -m 755 "$dir/roots"
  status=0
  errors=$(nbdkit -f -U "$(fresh_socket)" -u nobody "$dir/nbdkit-memory-plugin.so" 1M \
    "stats-file=$dir/roots/file" </dev/null 2>&1) || status=$?
  [ "$status" -ne 0 ] || fail "nobody serves without the file it was asked for"
  expect_lines "root's directory" "$errors" 'cannot be written: Permission denied'
  # So it is where the server is another process than the one that was started: in the background, and
  # beside a command, which is then not run.
  for command in "" "touch '$dir/ran'"; do
    status=0
    errors=$(timeout 60 nbdkit -U "$(fresh_socket)" -u nobody "$dir/nbdkit-memory-plugin.so" 1M \
      "stats-file=$dir/roots/file" ${command:+--run "$command"} </dev/null 2>&1) || status=$?
    expect_same "the status${command:+, with a command}" 1 "$status"
    expect_lines "root's directory${command:+, with a command}" "$errors" 'cannot be written: Permission denied'
    [ ! -e "$dir/ran" ] || fail "the command was run without a server"
  done
  [ -z "$(ls -A "$dir/roots")" ] || fail "something was left behind"
else
  echo "left out: changing the user needs root"
fi
