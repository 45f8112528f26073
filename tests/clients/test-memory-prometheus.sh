#!/usr/bin/env bash
# Proves that Prometheus has nothing to say against the statistics: promtool finds no fault in the
# documents of every allocator, nor in those of two disks read together; and the rule for an alert that
# the manual gives is correct and fires for a disk that is nearly full, and only then.
. "$(dirname "$0")/functions.sh"
requires promtool nbdsh nbdcopy
manual=${RAMDISK_SOURCE_DIR:-$(dirname "$0")/../..}/man/nbdkit-memory-plugin.pod

# faults FILE: what promtool finds in a document.
faults() { promtool check metrics <"$1" 2>&1 || :; }

# It does find something, or its silence would say nothing.
printf 'nbdkit_memory_requests{le="1"} 1\n' >"$dir/faulty"
[ -n "$(faults "$dir/faulty")" ] || fail "promtool finds nothing in what is wrong"

# values FILE NAME: the values of a metric in a document, whatever its labels.
values() { sed -n "s/^$2{[^}]*} //p" "$1"; }

for allocator in $(allocators); do
  prom=$dir/$allocator.prom
  start_nbdkit 16M "allocator=$allocator" max-memory=64M stats-export=stats "stats-file=$prom" \
    stats-format=prometheus
  nbdsh -u "$uri" -c 'import os' -c 'h.pwrite(os.urandom(1 << 20), 0)' \
    -c 'h.pwrite(b"text\n" * 100000, 4 << 20)' -c 'h.trim(4096, 0)' -c 'h.pread(4096, 0)'
  nbdcopy "nbd+unix:///stats?socket=$socket" - >"$dir/export"
  expect_same "faults in the export, allocator=$allocator" "" "$(faults "$dir/export")"
  stop_nbdkit
  expect_same "faults in the file, allocator=$allocator" "" "$(faults "$prom")"
  ! grep -n '=""' "$dir/export" "$prom" || fail "there are labels without a value"
  # The file's name is on each of its figures.
  expect_same "figures without the label disk" "" "$(grep -v '^#' "$prom" | grep -v "{disk=\"$allocator\"" || :)"
  expect_same "the size" 16777216 "$(values "$prom" nbdkit_memory_size_bytes)"
  # A histogram counts what its last bucket counts.
  expect_same "the number of writes" 2 \
    "$(sed -n 's/^nbdkit_memory_request_seconds_count{.*operation="write"} //p' "$prom")"
  expect_same "the last bucket of writes" 2 \
    "$(sed -n 's/^nbdkit_memory_request_seconds_bucket{.*operation="write",le="+Inf"} //p' "$prom")"
done

# The textfile collector takes files together: no two figures may have the same name and labels.
for allocator in $(allocators); do grep -v '^#' "$dir/$allocator.prom"; done | sed 's/ [^ ]*$//' | sort >"$dir/series"
expect_same "figures that are there twice" "" "$(uniq -d "$dir/series")"

# The rule in the manual, and what it makes of two disks of which one is nearly full.
sed -n '/^ groups:$/,/^$/ s/^ //p' "$manual" >"$dir/rules.yml"
promtool check rules "$dir/rules.yml" || fail "the rules in the manual"
cat >"$dir/rules-test.yml" <<'YAML'
rule_files: [rules.yml]
evaluation_interval: 15s
tests:
  - interval: 15s
    input_series:
      - {series: 'nbdkit_memory_used_bytes{disk="full"}', values: '95x40'}
      - {series: 'nbdkit_memory_limit_bytes{disk="full"}', values: '100x40'}
      - {series: 'nbdkit_memory_ended{disk="full"}', values: '0x20 1x20'}
      - {series: 'nbdkit_memory_used_bytes{disk="empty"}', values: '10x40'}
      - {series: 'nbdkit_memory_limit_bytes{disk="empty"}', values: '100x40'}
      - {series: 'nbdkit_memory_ended{disk="empty"}', values: '0x40'}
    alert_rule_test:
      - {eval_time: 30s, alertname: RamDiskNearlyFull}
      - eval_time: 2m
        alertname: RamDiskNearlyFull
        exp_alerts:
          - exp_labels: {disk: full, severity: warning}
            exp_annotations: {summary: RAM disk full has used 95% of its memory}
      - {eval_time: 9m, alertname: RamDiskNearlyFull}
YAML
(cd "$dir" && promtool test rules rules-test.yml) || fail "the rule does not tell what it should"
