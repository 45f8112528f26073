#!/usr/bin/env bash
# Proves that a RAM disk is a service: in a guest that systemd runs, its socket is started, the first
# connection starts the server, as a user of its own; the disk is filled, the service is stopped and
# started again by a connection, and the bytes are there, from its image.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/guest.sh"
requires nbdcopy nbdinfo systemctl systemd-analyze
[ -x /lib/systemd/systemd ] || skip "systemd is not installed"
source=$(realpath "${RAMDISK_SOURCE_DIR:-$(dirname "$0")/../..}")
requires_guest

guest_modules=nbd  # none is used, but a list may not be empty
make_guest nbdkit nbdcopy nbdinfo systemctl journalctl sha256sum ps
root=$dir/guest

# Debian's systemd with what it needs to run services, and nothing that it starts by itself. Programs find
# their libraries where they lie here.
mkdir -p "$root"/usr/{bin,sbin,lib} "$root"/etc/{systemd/system,nbdkit-memory} "$root"/var/{lib,log,tmp} \
  "$root"/lib/systemd/system
cp /lib/systemd/systemd /lib/systemd/systemd-journald /lib/systemd/systemd-shutdown "$root/lib/systemd"
copy_libraries "$root"/lib/systemd/systemd* "$plugin"
private=$(dirname "$(find /usr/lib /lib -name 'libsystemd-core-*.so' -print | sed -n 1p)")
mkdir -p "$root$private"
cp "$private"/libsystemd-{core,shared}-*.so "$root$private"
copy_libraries "$private"/libsystemd-*.so
for unit in basic sysinit sockets paths slices timers shutdown umount final poweroff; do
  cp "/lib/systemd/system/$unit.target" "$root/lib/systemd/system"
done
cp /lib/systemd/system/systemd-journald{.service,.socket} /lib/systemd/system/systemd-poweroff.service \
  "$root/lib/systemd/system"
printf 'root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\ndisk:x:6:\nnogroup:x:65534:\n' >"$root/etc/group"
: >"$root/etc/machine-id"

# Ours, as the packages install them.
plugindir=$(nbdkit --dump-config | sed -n 's/^plugindir=//p')
mkdir -p "$root$plugindir"
cp "$plugin" "$root$plugindir/nbdkit-memory-plugin.so"
strip "$root$plugindir/nbdkit-memory-plugin.so"
cp "$source"/.packaging/systemd/nbdkit-memory@.* "$root/lib/systemd/system"
ln -s /bin/nbdkit "$root/usr/bin/nbdkit"
printf 'DISK=64M allocator=%s image=disk.img max-memory=50%%\n' "$(growing_allocators | tail -n 1)" \
  >"$root/etc/nbdkit-memory/kept.conf"

# The script runs as a service, on the console.
cat >"$root/etc/systemd/system/script.service" <<'UNIT'
[Unit]
Wants=systemd-journald.service
After=systemd-journald.service
[Service]
Type=oneshot
ExecStart=/bin/sh /etc/console
UNIT
printf '[Unit]\nWants=script.service\n' >"$root/etc/systemd/system/default.target"
cat >"$root/etc/console" <<'CONSOLE'
exec </dev/console >/dev/console 2>&1
export PATH=/bin
host() { echo "host: $*"; read -r _; }
( set -eu; . /etc/script; )
status=$?
[ $status = 0 ] || journalctl --no-pager -o cat | tail -n 40
echo "status: $status"
poweroff -f
CONSOLE
# In a root that mounts can be moved in, which the first one is not.
sed -i 's|^host() .*||; /^modprobe/,$d' "$root/init"
cat >>"$root/init" <<'INIT'
mkdir /new
mount -t tmpfs -o size=80% root /new
cp -a /bin /sbin /lib /lib64 /usr /etc /var /new
mkdir -p /new/proc /new/sys /new/dev /new/run /new/tmp
cp /run/script /new/etc/script
umount /proc /sys
mount --move /dev /new/dev
exec switch_root /new /lib/systemd/systemd --log-target=console --log-level=warning --show-status=no
INIT

run_guest 640 <<'GUEST'
uri='nbd+unix:///?socket=/run/nbdkit-memory/kept.sock'
state() { systemctl show -P ActiveState nbdkit-memory@$1; }
systemctl start nbdkit-memory@kept.socket
[ "$(stat -c '%a %G' /run/nbdkit-memory/kept.sock)" = '660 disk' ]
[ "$(state kept.service)" = inactive ]

echo "the first connection"
[ "$(nbdinfo --size "$uri")" = $((64 << 20)) ]
[ "$(state kept.service)" = active ]
pid=$(systemctl show -P MainPID nbdkit-memory@kept.service)
grep -E '^(Uid|NoNewPrivs|Seccomp|CapEff|CapBnd|VmRSS)' /proc/$pid/status
[ "$(awk '/^Uid/ { print $2 }' /proc/$pid/status)" -ge 61184 ]
grep -q 'CapEff:.*0000000000000000' /proc/$pid/status
grep -q 'Seccomp:.*2' /proc/$pid/status
grep 'locked memory' /proc/$pid/limits
[ "$(cat /sys/fs/cgroup/$(cut -d: -f3 /proc/$pid/cgroup)/memory.max)" != max ]

echo "filled"
dd if=/dev/urandom of=/tmp/noise bs=1M count=10 2>/dev/null
cat /tmp/noise /lib/*.so* >/tmp/data
truncate -s 34M /tmp/data
truncate -s 64M /tmp/data
nbdcopy /tmp/data "$uri"
[ ! -e /var/lib/nbdkit-memory/kept/disk.img ]

echo "stopped"
systemctl stop nbdkit-memory@kept.service
[ "$(systemctl show -P Result nbdkit-memory@kept.service)" = success ]
[ "$(state kept.service)" = inactive ]
cmp /tmp/data /var/lib/nbdkit-memory/kept/disk.img
ls -ln /var/lib/private/nbdkit-memory/kept
[ "$(stat -L -c %a /var/lib/nbdkit-memory/kept)" = 700 ]
[ ! -e /proc/$pid ]

echo "a connection starts it again"
nbdcopy "$uri" /tmp/again
cmp /tmp/data /tmp/again
[ "$(state kept.service)" = active ]
[ "$(systemctl show -P MainPID nbdkit-memory@kept.service)" != "$pid" ]

echo "without parameters there is no socket"
systemctl start nbdkit-memory@nothing.socket
[ "$(state nothing.socket)" = inactive ]
systemctl stop nbdkit-memory@kept.socket
[ ! -e /run/nbdkit-memory/kept.sock ]
GUEST
