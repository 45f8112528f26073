#!/usr/bin/env bash
# Proves that the statistics export tells what happened: figures are compared with what a client did,
# both formats say the same, each figure is in the manual, and nothing of it is there unless asked for.
. "$(dirname "$0")/functions.sh"
requires nbdsh nbdcopy nbdinfo python3 qemu-io

cat >"$dir/check.py" <<'PYTHON'
import json, os, re, subprocess, sys, time
page = 4096
socket, allocator, manual = os.environ["SOCKET"], os.environ["ALLOCATOR"], os.environ["MANUAL"]
stats = f"nbd+unix:///stats?socket={socket}"

def document():
    return subprocess.run(["nbdcopy", stats, "-"], stdout=subprocess.PIPE, check=True).stdout.decode()

def by(figure, key):
    return {entry[key]: entry["value"] for entry in figure}

def pages(figures):
    sums = {}
    for entry in figures["pages"]:
        sums[entry["kind"]] = sums.get(entry["kind"], 0) + entry["value"]
    return sums

size = h.get_size()
first = json.loads(document())
assert first["size_bytes"] == size and first["limit_bytes"] == 64 << 20, first
assert first["allocator"].startswith(allocator) and first["version"], first
assert all(n == 0 for n in by(first["requests_total"], "operation").values()), first

noise = os.urandom(16 * page)
h.pwrite(noise, 0)                                  # 16 pages as they are
h.pwrite(b"abcd" * (8 * page // 4), 16 * page)      # 8 of one word
h.pwrite(b"".join(b"line %9d\n" % i for i in range(12 * page // 15 + 1))[:12 * page], 32 * page)
assert h.pread(16 * page, 0) == noise
h.trim(4 * page, 0)
h.zero(page, 5 * page)
h.flush()
try:
    h.set_strict_mode(0)
    h.pread(512, size)
    assert False
except nbd.Error:
    pass                                            # nbdkit itself refuses: not ours to count

now = json.loads(document())
requests = by(now["requests_total"], "operation")
assert requests["write"] == 3 and requests["read"] == 1 and requests["zero"] == 1, requests
assert requests["trim"] == 1 and requests["flush"] == 1, requests
done = by(now["request_bytes_total"], "operation")
assert done["write"] == 36 * page and done["read"] == 16 * page and done["trim"] == 4 * page, done
assert by(now["request_errors_total"], "operation")["write"] == 0
kinds = pages(now)
if allocator == "malloc":
    assert kinds["plain"] == size // page and kinds["zero"] == 0, kinds
else:
    assert kinds["zero"] == size // page - 31, kinds
    assert now["stored_bytes"] == 31 * page, now
    assert now["used_bytes"] >= now["memory_bytes"] > 0, now
    assert abs(now["ratio"] - now["stored_bytes"] / now["memory_bytes"]) < 0.01, now
if allocator == "sparse":
    assert kinds["plain"] == 31, kinds
if allocator == "zstd":
    assert kinds["same_filled"] == 8, kinds
    for i in range(100):                            # until nothing waits any more
        kinds = pages(json.loads(document()))
        if kinds["waiting"] == 0:
            break
        time.sleep(0.1)
    assert kinds["plain"] == 11 and kinds["compressed"] + kinds["grouped"] == 12, kinds

# Refused writes are errors, for which no bytes count.
if allocator != "malloc":
    refused = 0
    for i in range(1024):
        try:
            h.pwrite(os.urandom(1 << 17), (1 << 20) + (i << 17))
        except nbd.Error:
            refused += 1
            break
    assert refused
    now = json.loads(document())
    assert by(now["request_errors_total"], "operation")["write"] == refused, now
    assert now["used_bytes"] <= now["limit_bytes"], now

# Every request is in one bucket of its histogram.
now = json.loads(document())
last = {e["operation"]: e["value"] for e in now["request_seconds_bucket"] if e["le"] == "+Inf"}
assert last == by(now["requests_total"], "operation"), (last, now["requests_total"])
assert last == by(now["request_seconds_count"], "operation"), (last, now["request_seconds_count"])

# The manual has each figure, and no others.
with open(manual) as file:
    text = file.read()
section = text[text.index("=head1 STATISTICS"):]
section = section[:section.index("=head2")]
documented = set(re.findall(r"^=item C<(\w+)>", section, re.M))
assert documented == set(now), documented ^ set(now)
with open(os.environ["OUT"], "w") as file:
    json.dump(now, file)
PYTHON

manual=$(dirname "$0")/../../man/nbdkit-memory-plugin.pod
for allocator in $(allocators); do
  start_nbdkit 32M "allocator=$allocator" max-memory=64M stats-export=stats
  [ "$allocator" = malloc ] || { stop_nbdkit; start_nbdkit 1G "allocator=$allocator" max-memory=64M stats-export=stats; }
  SOCKET=$socket ALLOCATOR=$allocator MANUAL=$manual OUT=$dir/json \
    nbdsh -u "$uri" -c - <"$dir/check.py" || fail "allocator=$allocator"
  stop_nbdkit
done

# Two connections have each their own document; a reader cannot write; both exports are listed.
start_nbdkit 1M stats-export=stats
list=$(nbdinfo --list "$uri")
expect_lines "the list" "$list" 'export="":' 'export="stats":' 'is_read_only: true'
! nbdsh -u "nbd+unix:///stats?socket=$socket" -c 'h.set_strict_mode(0)' -c 'h.pwrite(b"x", 0)' \
  2>/dev/null || fail "the statistics can be written"
stop_nbdkit

# The other format: the same names.
start_nbdkit 1M stats-export=metrics stats-format=prometheus
nbdcopy "nbd+unix:///metrics?socket=$socket" - >"$dir/prometheus"
expect_lines "prometheus" "$(cat "$dir/prometheus")" '^nbdkit_memory_size_bytes 1048576$' \
  '^# TYPE nbdkit_memory_requests_total counter$' '^nbdkit_memory_info\{version="' \
  '^nbdkit_memory_pages\{kind="zero"\} 256$' '^# TYPE nbdkit_memory_request_seconds histogram$' \
  '^nbdkit_memory_request_seconds_count\{operation="read"\} 0$' \
  '^nbdkit_memory_request_seconds_bucket\{operation="read",le="\+Inf"\} 0$'
! grep -vE '^(# (HELP|TYPE) [a-z_]+ .*|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [-+0-9.e]+)$' \
  "$dir/prometheus" || fail "lines that are not of the format"
stop_nbdkit

# Not there unless asked for: any name is the disk.
start_nbdkit 1M
expect_same "the size of any export" 1048576 "$(nbdinfo --size "nbd+unix:///stats?socket=$socket")"
[ "$(nbdinfo --list "$uri" | grep -c '^export=')" -eq 1 ] || fail "more than one export is listed"
stop_nbdkit
expect_lines "a format alone" "$(errors_of 1M stats-format=json)" stats-export
# With statistics only the two names are anything: a mistyped one must not be the disk, writable.
start_nbdkit 1M stats-export=stats
for name in stat statistics disk /; do
  for command in "nbdinfo --size" "qemu-io -f raw -c quit"; do
    # shellcheck disable=SC2086  # two words
    ! $command "nbd+unix:///$name?socket=$socket" 2>/dev/null || fail "$command: '$name' can be opened"
  done
done
nbdsh -c - <<PYTHON || fail "NBD_OPT_INFO about a wrong name"
h.set_opt_mode(True)
h.connect_unix("$socket")
for name, known in [("", True), ("stats", True), ("stat", False), ("STATS", False), ("stats ", False)]:
    h.set_export_name(name)
    try:
        h.opt_info()
        assert known, name
    except nbd.Error:
        assert not known, name
h.set_export_name("")
h.opt_go()
assert h.get_size() == 1 << 20
PYTHON
stop_nbdkit

expect_lines "no name" "$(errors_of 1M stats-export=)" stats-export
expect_lines "another format" "$(errors_of 1M stats-export=x stats-format=xml)" 'json or prometheus'
