#!/usr/bin/env bash
# Proves that Linux swaps to a compressed disk of an nbdkit that runs with --swap: a program that
# needs more memory than its machine has finds all of it as it was.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/guest.sh"
requires cc
has_zstd || skip "the plugin was built without zstd"
requires_guest
nbdkit -U "$(fresh_socket)" --swap null --run true 2>"$dir/errors" ||
  skip "this user may not lock memory: $(cat "$dir/errors")"

mkdir "$dir/programs"
cc -O2 -o "$dir/programs/hog" "$(dirname "$0")/guest-hog.c"
PATH=$dir/programs:$PATH make_guest hog

host_swapped() {
  echo "the guest swapped out $1 KiB; nbdkit has $(resident) KiB"
  swapped=$1
}

nbdkit_options=(--swap)
choose_port
start_nbdkit 1G allocator=zstd stats-export=stats
run_guest 160 -nic user,model=virtio-net-pci <<SCRIPT
port=$nbdkit_port
$(
  cat <<'GUEST'
rm -r /lib/modules
nbd-client -swap 10.0.2.2 $port /dev/nbd0 >/dev/null
mkswap /dev/nbd0 >/dev/null
swapon -d /dev/nbd0
free -m
[ "$(awk '/^MemTotal/ { print $2 }' /proc/meminfo)" -lt $((160 * 1024)) ]
hog 160
host swapped $(awk '/^pswpout/ { print $2 * 4 }' /proc/vmstat)
free -m
swapoff /dev/nbd0
nbd-client -d /dev/nbd0 >/dev/null
GUEST
)
SCRIPT
# Twice at least what the guest, which has 160 MiB less its kernel, has no room for.
[ "$swapped" -ge $((2 * 40 * 1024)) ] || fail "only $swapped KiB went to swap"
stop_nbdkit
