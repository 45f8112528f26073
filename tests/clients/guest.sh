# A small Linux guest in qemu, whose kernel has what the host's may lack: nbd, device mapper, swap;
# for tests that source functions.sh first.
#
# The guest is Debian's kernel with an initramfs of busybox, nbd-client and whatever else a test
# names. Its packages are downloaded once and kept in $guest_cache; none is installed. It runs under
# qemu's own emulation: no hypervisor is needed, and nothing is fast.
#
# A test writes the guest's script, in busybox's sh, to $dir/guest/run and calls run_guest. In the
# script, "host NAME [WORD]..." calls the function host_NAME of the test and waits until it returns.
# shellcheck shell=bash disable=SC2154  # $dir and $plugin come from functions.sh

guest_cache=${RAMDISK_GUEST_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/nbdkit-memory-plugin/guest}
guest_packages='busybox-static nbd-client libnl-3-200 libnl-genl-3-200 mdadm libudev1'
guest_modules='nbd virtio_net virtio_pci virtio_blk ext4 crc32c_generic dm-mod'

requires_guest() {
  requires qemu-system-x86_64 apt-get apt-cache dpkg-deb flock ldd
  [ "$(dpkg --print-architecture)" = amd64 ] || skip "the guest is for amd64"
  mkdir -p "$guest_cache" 2>/dev/null || skip "$guest_cache cannot be made"
  fetch_guest
}

# Unpacks what the guest is made of into $guest_cache/root, once for all tests.
fetch_guest() {
  local lock kernel version
  exec {lock}>"$guest_cache/lock"
  flock -w 600 "$lock" || fail "another test holds $guest_cache/lock"
  if [ "$(cat "$guest_cache/complete" 2>/dev/null)" != "$guest_packages" ]; then
    kernel=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p')
    rm -rf "$guest_cache/new"
    mkdir -p "$guest_cache/new/root"
    # shellcheck disable=SC2086  # a list
    (cd "$guest_cache/new" && timeout 300 apt-get -q -o APT::Sandbox::User=root download \
      "${kernel:-none}" $guest_packages) >"$dir/download" 2>&1 ||
      { cat "$dir/download"; skip "the guest's packages cannot be downloaded"; }
    find "$guest_cache/new" -name '*.deb' -exec dpkg-deb -x '{}' "$guest_cache/new/root" ';'
    version=$(basename "$guest_cache/new/root/lib/modules"/*)
    "$guest_cache/new/root/bin/busybox" depmod -b "$guest_cache/new/root" "$version"
    rm -rf "$guest_cache/root"
    mv "$guest_cache/new/root" "$guest_cache/root"
    rm -rf "$guest_cache/new"
    echo "$guest_packages" >"$guest_cache/complete"
  fi
  exec {lock}>&-
}

guest_kernel() { basename "$guest_cache/root/lib/modules"/*; }

# make_guest PROGRAM...: the tree of the initramfs in $dir/guest, with these programs: of the guest's
# packages or else of the host.
make_guest() {
  local program root=$dir/guest
  mkdir -p "$root"/{bin,sbin,lib,dev,proc,sys,tmp,mnt,etc,run}
  cp "$guest_cache/root/bin/busybox" "$guest_cache/root/sbin/nbd-client" "$root/bin"
  ln -s busybox "$root/bin/sh"
  cp /etc/mke2fs.conf "$root/etc" 2>/dev/null || :
  for program; do
    cp "$guest_cache/root/sbin/$program" "$root/bin" 2>/dev/null ||
      cp "$(command -v "$program")" "$root/bin"
  done
  copy_libraries "$root/bin"/*
  copy_modules
  cat >"$root/init" <<'INIT'
#!/bin/sh
# Not "exit": without its first process the kernel panics, which is how a failure ends the guest.
export PATH=/bin
busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
host() { echo "host: $*"; read -r _; }
stty -echo
modprobe -a $(cat /etc/modules) || echo "modprobe failed"
ip link set lo up
if [ -e /sys/class/net/eth0 ]; then ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; fi
( set -eu; . /run/script; )
echo "status: $?"
poweroff -f
INIT
  chmod +x "$root/init"
}

# The libraries of these programs, where their loader looks for them.
copy_libraries() {
  local libraries library
  libraries=$(for program; do
    LD_LIBRARY_PATH=$guest_cache/root/usr/lib/x86_64-linux-gnu:$guest_cache/root/lib/x86_64-linux-gnu \
      ldd "$program" 2>/dev/null || :
  done | grep -o '/[^ ]*' | sort -u)
  mkdir -p "$dir/guest/lib64"
  for library in $libraries; do
    case $library in
      */ld-linux*) cp -L "$library" "$dir/guest/lib64" ;;
      *) cp -L "$library" "$dir/guest/lib" ;;
    esac
  done
}

# The modules in $guest_modules and what they need.
copy_modules() {
  local name line file kernel source
  kernel=$(guest_kernel)
  source=$guest_cache/root/lib/modules/$kernel
  for name in $guest_modules; do
    ! grep -q "/$name\.ko$" "$source/modules.builtin" || continue
    line=$(grep "/$name\.ko:" "$source/modules.dep") || fail "the guest's kernel has no $name"
    for file in ${line//:/}; do
      mkdir -p "$dir/guest/lib/modules/$kernel/$(dirname "$file")"
      cp "$source/$file" "$dir/guest/lib/modules/$kernel/$file"
    done
    echo "$name" >>"$dir/guest/etc/modules"
  done
  cp "$source"/modules.{builtin,order} "$dir/guest/lib/modules/$kernel" 2>/dev/null || :
  "$guest_cache/root/bin/busybox" depmod -b "$dir/guest" "$kernel"
}

# run_guest MEGABYTES [QEMU-OPTION]...: runs the guest with standard input as its script. Everything
# it prints is shown. Fails if the script does.
run_guest() {
  local megabytes=$1 line status= in out start=$SECONDS
  shift
  cat >"$dir/guest/run/script"
  (cd "$dir/guest" && find . | "$guest_cache/root/bin/busybox" cpio -o -H newc 2>/dev/null) |
    gzip -1 >"$dir/initrd"
  coproc QEMU { exec timeout 900 qemu-system-x86_64 -machine accel=tcg -cpu max -m "$megabytes" -smp 2 \
    -nodefaults -no-user-config -display none -no-reboot -monitor none -serial stdio \
    -kernel "$guest_cache/root/boot/vmlinuz-$(guest_kernel)" -initrd "$dir/initrd" \
    -append 'console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off' "$@" 2>&1; }
  guest_pid=$QEMU_PID
  at_exit "end_child $guest_pid"
  exec {in}>&"${QEMU[1]}" {out}<&"${QEMU[0]}"
  while IFS= read -r line <&"$out"; do
    line=${line%$'\r'}
    case $line in
      'host: '*)
        read -r -a line <<<"$line"
        "host_${line[1]}" "${line[@]:2}"
        echo >&"$in"
        ;;
      'status: '*) status=${line#status: } ;;
      *) printf 'guest %3d s| %s\n' $((SECONDS - start)) "$line" ;;
    esac
  done
  exec {in}>&- {out}<&-
  [ "$status" = 0 ] || fail "the guest's script ended with status ${status:-none}"
}

# choose_port: sets nbdkit_port to one that is free. What the loopback interface of the host serves,
# the guest's user network shows it at 10.0.2.2.
choose_port() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    nbdkit_port=$((20000 + RANDOM % 12000))
    (: <"/dev/tcp/127.0.0.1/$nbdkit_port") 2>/dev/null || return 0
  done
  fail "no port is free"
}

# Memory of the server, in KiB.
resident() { awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status"; }
