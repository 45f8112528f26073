#!/bin/sh
# Installs the Debian packages that the demo or the tests need, where any is missing.
# Usage: sh tests/setup.sh demo|tests
# Does nothing, and needs neither root nor a network, when everything is there.
set -eu

demo='cmake e2fsprogs file g++ libnbd-bin libzstd-dev nbdkit nbdkit-plugin-dev ninja-build perl pkg-config'
tests="$demo bash-completion binutils btrfs-progs clang clang-format clang-tidy devscripts dpkg-dev fio fuse3 groff-base
  iproute2 libc++-dev libc++abi-dev libclang-rt-dev libgmock-dev libgtest-dev libnbd-dev lintian mount
  procps prometheus python3 python3-libnbd qemu-system-x86 qemu-utils rpm rpm2cpio socat stress-ng systemd
  util-linux xfsprogs"

case ${1:-} in
  demo) wanted=$demo ;;
  tests) wanted=$tests ;;
  *) echo "usage: sh tests/setup.sh demo|tests" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  # shellcheck disable=SC2086  # a list, here and below
  echo "setup: not a Debian system; make sure that you have what these packages hold:" $wanted
  exit 0
fi

# A package that is there for another machine, too, has a state for each.
here=$(dpkg --print-architecture)
installed() {
  case " $(dpkg-query -W -f '${Architecture} ${db:Status-Status} ' "$1" 2>/dev/null)" in
    *" $here installed "* | *' all installed '*) ;;
    *) return 1 ;;
  esac
}

missing=
for package in $wanted; do
  installed "$package" || missing="$missing $package"
done
if [ -z "$missing" ]; then
  echo "setup: all packages are there"
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "setup: not root, so cannot install:$missing" >&2
  exit 1
fi

echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt_get() { apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# One broken package source of many must not stop this: the install tells whether it mattered.
apt_get update >"$log" 2>&1 || { echo "setup: apt-get update failed; trying without"; tail -n 5 "$log"; }
# shellcheck disable=SC2086
if ! apt_get install -y --no-install-recommends $missing >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  echo "setup: cannot install what is needed" >&2
  exit 1
fi
