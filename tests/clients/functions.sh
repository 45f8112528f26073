# What the tests here share: each sources this file first.
#
# The plugin under test is the file that NBDKIT_MEMORY_PLUGIN names, or else RAMDISK_PLUGIN, which
# CTest sets to the one that was built. Every test gets a directory of its own, $dir, and leaves
# nothing behind: files, mounts and processes go on every exit.
# shellcheck shell=bash disable=SC2034  # variables are for those who source this

# A program that ends before it has read all that is piped into it (head, grep -q, awk with exit) gets
# the one that writes killed now and then. With pipefail the whole pipeline then fails, and a condition
# is wrong. tests/lint-pipelines.py refuses such pipelines; grep -q reads <<<"$(...)" instead.
set -euo pipefail

# Each test has mounts of its own, where that is allowed. Whoever makes a mount namespace (unshare, ip
# netns exec) takes along all mounts that it sees, and keeps them: a filesystem that another test has
# unmounted would then still be mounted when that test checks it. (In a chroot the root is no mount
# that could be made private.)
for propagation in private unchanged; do
  if [ -z "${RAMDISK_OWN_MOUNTS:-}" ] && unshare --mount --propagation "$propagation" true 2>/dev/null; then
    RAMDISK_OWN_MOUNTS=1 exec unshare --mount --propagation "$propagation" bash "$0" "$@"
  fi
done

export LC_ALL=C
# nbdsh takes the first python3 there is; the nbd module belongs to the system's own.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
# Python finds the modules beside this file, and leaves nothing there.
PYTHONPATH=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)${PYTHONPATH:+:$PYTHONPATH}
export PYTHONPATH PYTHONDONTWRITEBYTECODE=1

plugin=${NBDKIT_MEMORY_PLUGIN:-${RAMDISK_PLUGIN:-}}
[ -n "$plugin" ] || { echo "set NBDKIT_MEMORY_PLUGIN to the plugin to test" >&2; exit 1; }
[ -e "$plugin" ] || { echo "there is no plugin $plugin" >&2; exit 1; }
echo "plugin: $plugin"

# Not in /tmp: that is often memory itself, and some files here are large.
dir=$(mktemp -d --tmpdir="${TMPDIR:-/var/tmp}")
cleanups=()

cleanup() {
  local status=$? i
  set +e
  trap - EXIT
  for ((i = ${#cleanups[@]} - 1; i >= 0; i--)); do eval "${cleanups[i]}"; done
  rm -rf "$dir"
  exit "$status"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# at_exit COMMAND: run when the test ends, the last one given first.
at_exit() { cleanups+=("$1"); }

# end_child PID: ends a process that the test started itself and that still runs. One that is gone may
# have left its number to somebody else's.
end_child() {
  ! grep -qx "$1" <<<"$(jobs -pr)" || kill "$1" 2>/dev/null
  wait "$1" 2>/dev/null
}

fail() { echo "FAIL: $*" >&2; exit 1; }
skip() { echo "SKIP: $*"; exit 77; }

# requires COMMAND...: the test is skipped unless every one of these programs is there.
requires() {
  local program
  for program; do
    command -v "$program" >/dev/null || skip "$program is not installed"
  done
}
requires nbdkit

# The plugin where somebody else can read it, as ./nbdkit-memory-plugin.so in $dir.
copy_plugin_for_others() {
  chmod 777 "$dir"
  cp "$plugin" "$dir/nbdkit-memory-plugin.so"
  chmod 755 "$dir/nbdkit-memory-plugin.so"
}

# become UID COMMAND...: runs it as that user, without any privilege.
become() {
  local user=$1
  shift
  setpriv "--reuid=$user" "--regid=$user" --clear-groups --inh-caps=-all --bounding-set=-all "$@"
}

# release_archive PREFIX: the project as a release, which is what git knows, with what has been changed
# since the last commit; a tar archive of all below PREFIX/.
release_archive() {
  local source=${RAMDISK_SOURCE_DIR:-$(dirname "$0")/../..} tree
  # git allows one at a time, and another test may be at it.
  tree=$(flock "${TMPDIR:-/var/tmp}/ramdisk-release.lock" git -C "$source" stash create 2>/dev/null) || :
  git -C "$source" archive --prefix="$1/" "${tree:-HEAD}" 2>/dev/null ||
    tar -C "$source" --exclude=./build --exclude=./.git --transform "s|^\.|$1|" -cf - .
}

requires_root() { [ "$(id -u)" -eq 0 ] || skip "this needs root"; }

dump_plugin() { nbdkit "${1:-$plugin}" --dump-plugin; }

has_zstd() { grep -qx zstd=yes <<<"$(dump_plugin)"; }

# The allocators of the plugin under test.
allocators() {
  echo sparse malloc
  ! has_zstd || echo zstd
}

# Those of them that take memory only for what is stored.
growing_allocators() { allocators | tr ' ' '\n' | grep -vx malloc; }

# The distribution's plugin, for comparisons; skips the test where it is not, or where ours has been
# installed in its place.
requires_old_plugin() {
  old_plugin=$(nbdkit --dump-config | sed -n 's/^plugindir=//p')/nbdkit-memory-plugin.so
  [ -e "$old_plugin" ] || skip "the distribution's plugin is not installed"
  ! grep -q '^ramdisk_' <<<"$(dump_plugin "$old_plugin")" ||
    skip "$old_plugin is ours, not the distribution's"
}

# start_nbdkit ARGUMENT...: starts nbdkit with the plugin and these arguments, and waits until it
# serves. Sets $pid, $socket and $uri. Options of nbdkit go into the array nbdkit_options. With
# nbdkit_port set it serves there, on the address nbdkit_host, and not on a socket.
nbdkit_options=()
nbdkit_port=
nbdkit_host=127.0.0.1
start_nbdkit() {
  local tries listen
  socket=$(fresh_socket)
  uri="nbd+unix:///?socket=$socket"
  listen=(-U "$socket")
  if [ -n "$nbdkit_port" ]; then
    uri=nbd://$nbdkit_host:$nbdkit_port
    listen=(-i "$nbdkit_host" -p "$nbdkit_port")
  fi
  rm -f "$dir/pid"
  nbdkit -f --exit-with-parent "${listen[@]}" -P "$dir/pid" "${nbdkit_options[@]}" "$plugin" "$@" &
  pid=$!
  at_exit "end_child $pid"
  for ((tries = 0; tries < 600; tries++)); do
    [ ! -s "$dir/pid" ] || return 0
    kill -0 "$pid" 2>/dev/null || fail "nbdkit did not start with: $*"
    sleep 0.05
  done
  fail "nbdkit does not get ready with: $*"
}

# Ends the server that was started last, and fails if it did not end well.
stop_nbdkit() {
  local status=0
  kill "$pid" || fail "nbdkit is gone"
  wait "$pid" || status=$?
  [ "$status" -eq 0 ] || fail "nbdkit ended with status $status"
}

# expect_same WHAT EXPECTED ACTUAL: two texts.
expect_same() {
  [ "$2" = "$3" ] || { diff <(echo "$2") <(echo "$3") || :; fail "$1: expected (<), got (>)"; }
}

# expect_lines WHAT TEXT PATTERN...: each extended regular expression matches some line.
expect_lines() {
  local what=$1 text=$2 pattern
  shift 2
  for pattern; do
    grep -qE -- "$pattern" <<<"$text" || fail "$what: no line matches '$pattern' in: $text"
  done
}

# For command lines that nbdkit may refuse: with -U - it would then leave a directory behind.
fresh_socket() { mktemp -u --tmpdir="$dir" --suffix=.socket; }

# errors_of ARGUMENT...: what nbdkit prints when it refuses these; fails if it does not refuse.
errors_of() {
  local errors
  if errors=$(nbdkit -U "$(fresh_socket)" "$plugin" "$@" --run true 2>&1); then
    fail "nbdkit accepts: $*"
  fi
  echo "$errors"
}

# check_disk ALLOCATOR: writes text and noise to the disk of the server that was started last (64M or
# more, untouched), reads them back, trims every other piece, looks at the extents, and writes there
# again.
check_disk() {
  nbdsh --base-allocation -u "$uri" -c "allocator = '$1'" -c - <<'PYTHON' || fail "allocator=$1"
import os
piece = 1 << 18
first, last = 4, 132  # pieces
data = {i: os.urandom(piece) if i % 3 else b"text %10d\n" % i * (piece // 16)
        for i in range(first, last)}
trimmed = range(first + 1, last - 1, 2)

def check():
    for i in data:
        assert h.pread(piece, i * piece) == data[i], i

def extents():
    found, at = [], 0
    def status(context, offset, entries, error):
        found.extend(zip(entries[0::2], entries[1::2]))
    while at < h.get_size():
        h.block_status(h.get_size() - at, at, status)
        at = sum(length for length, kind in found)
    return found

for i in data:
    h.pwrite(data[i], i * piece)
check()
for i in trimmed:
    h.trim(piece, i * piece)
    data[i] = bytes(piece)
check()
hole = nbd.STATE_HOLE | nbd.STATE_ZERO
want = [(first * piece, hole)] + [(piece, 0), (piece, hole)] * len(trimmed)
want += [(2 * piece, 0), (h.get_size() - last * piece, hole)]
if allocator == "malloc":
    want = [(h.get_size(), 0)]
assert extents() == want, extents()
# A few bytes in each page: the rest of it must not be what some page held before.
scrap = b"scrap" * 20
for i in trimmed:
    data[i] = bytearray(piece)
    for at in range(1000, piece, 4096):
        data[i][at:at + 100] = scrap
        h.pwrite(scrap, i * piece + at)
check()
PYTHON
}

# make_files DIRECTORY MEGABYTES: copies real files of this system, about so many.
make_files() {
  local source size total=0
  mkdir -p "$1"
  for source in /usr/include /usr/share/perl /usr/lib/gcc /usr/share/doc /usr/share/locale \
    /usr/lib/python3 /usr/bin /usr/lib/x86_64-linux-gnu; do
    [ -d "$source" ] || continue
    # A file that vanishes or cannot be read while it is counted or copied does not matter here.
    size=$(du -sm "$source" 2>/dev/null | cut -f1) || :
    [ $((total + size)) -le "$2" ] || continue
    mkdir -p "$1$source"
    cp -a "$source/." "$1$source/" 2>/dev/null || :
    total=$((total + size))
  done
  [ "$total" -gt 0 ] || fail "there are no files to copy in $1"
}
