#!/usr/bin/env bash
# Proves that a disk in a control group with too little memory is not killed: without any parameter
# a fill of 2 GiB within 256 MiB ends with ENOSPC, what was written before reads back, and after a
# trim the disk takes data again. The files that the group has in its cache are no obstacle.
. "$(dirname "$0")/functions.sh"
requires nbdsh
requires_root

# Makes a group below this process's own, with a limit. Sets $group.
make_group() {
  local line mount path
  line=$(grep -E '^[0-9]+:([^:]*,)?memory(,[^:]*)?:' /proc/self/cgroup) || line=
  if [ -n "$line" ]; then
    mount=/sys/fs/cgroup/memory
    # A chroot may have the controller, but not its files. Nobody else sees what is mounted here.
    if [ -n "${RAMDISK_OWN_MOUNTS:-}" ] && [ ! -d "$mount" ]; then
      mount --make-rprivate /sys && mount -t tmpfs none /sys/fs/cgroup && mkdir "$mount" &&
        mount -t cgroup -o memory none "$mount" || skip "the memory controller cannot be mounted"
    fi
    path=${line#*:*:}
    [ -d "$mount$path" ] || path=
    group=$mount${path%/}/ramdisk-test-$$
    mkdir "$group" 2>/dev/null || skip "no control group can be made in $mount$path"
    at_exit "rmdir '$group'"
    echo $((256 << 20)) >"$group/memory.limit_in_bytes" || skip "the group takes no limit"
  else
    group=/sys/fs/cgroup/ramdisk-test-$$
    grep -qw memory /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null ||
      skip "there is no memory controller for control groups"
    mkdir "$group" 2>/dev/null || skip "no control group can be made"
    at_exit "rmdir '$group'"
    echo $((256 << 20)) >"$group/memory.max" || skip "the group takes no limit"
  fi
}
make_group
# A group with a process in it, which may be this one when the test fails, cannot be removed.
at_exit 'echo "$BASHPID" >"$(dirname "$group")/cgroup.procs"'

cat >"$dir/script.py" <<'PYTHON'
block = 1 << 18
filler = Filler(h, block, [errno.ENOSPC])
data, fill = filler.data, filler.fill

written = fill()
print(written * block >> 20, "MiB were written")
assert 150 << 20 < written * block < 256 << 20, written * block
for i in range(written):
    assert h.pread(block, i * block) == data(i), i
h.trim(written // 2 * block, 0)
for i in range(written // 4):
    h.pwrite(data(i), i * block)
for i in range(written // 2, written):
    assert h.pread(block, i * block) == data(i), i
h.trim(h.get_size(), 0)
again = fill()
assert again > written * 8 // 10, (written, again)
PYTHON

for allocator in $(growing_allocators); do
  nbdkit_options=(--threads 4)
  # The server alone is in the group: its client's memory is not what this is about.
  echo "$BASHPID" >"$group/cgroup.procs"
  start_nbdkit 2G "allocator=$allocator" 2>"$dir/log"
  echo "$BASHPID" >"$(dirname "$group")/cgroup.procs"
  cat "$(dirname "$0")/fill.py" "$dir/script.py" | timeout 150 nbdsh -u "$uri" -c - ||
    fail "allocator=$allocator: $(cat "$dir/log")"
  grep -q 'short of memory' "$dir/log" || fail "the log does not say why: $(cat "$dir/log")"
  stop_nbdkit
done
# The malloc disk does not even start.
echo "$BASHPID" >"$group/cgroup.procs"
errors=$(errors_of 2G allocator=malloc)
echo "$BASHPID" >"$(dirname "$group")/cgroup.procs"
expect_lines "malloc" "$errors" 'control group'

# Bytes of files that the group has in memory and that have been used more than once.
active_cache() { sed -n "s/^\(total_\)\?active_file //p" "$group/memory.stat" | sort -n | tail -n 1; }

# A group that is full of such files is not full. (Where files are in memory anyway, there are none.)
echo "$BASHPID" >"$group/cgroup.procs"
head -c 130M /dev/urandom >"$dir/file"
sync "$dir/file"
for _ in 1 2 3; do cat "$dir/file" >/dev/null; done
active=$(active_cache)
if [ "$active" -ge $((100 << 20)) ]; then
  start_nbdkit 200M allocator=malloc
  stop_nbdkit
  echo "malloc: 200M beside $active bytes of active cache"
else
  echo "SKIP the part about the cache: only $active bytes of it are active"
fi
echo "$BASHPID" >"$(dirname "$group")/cgroup.procs"
