#!/usr/bin/env bash
# Proves that the commands of the README work as they stand there, one after the other: in a copy of
# this system's root tree with a fresh copy of the sources, which nothing else sees. Commands that
# other tests are for are only looked up there; a command that nobody runs is a failure.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/fuse.sh"
requires cmake cpack ninja dpkg-shlibdeps dpkg-divert unshare chroot ip mkfs.ext4 qemu-img nbdcopy
requires_root
requires_fuse
requires_old_plugin
source=$(cd "${RAMDISK_SOURCE_DIR:-$(dirname "$0")/../..}" && pwd)

mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" overlay "$dir/root" \
  2>/dev/null || skip "no overlay of the root tree can be mounted"
at_exit "umount -l '$dir/root'"
for folder in proc sys dev; do
  mount --bind "/$folder" "$dir/root/$folder"
  at_exit "umount -l '$dir/root/$folder'"
done
project=$dir/root/root/project
release_archive project | tar -C "$dir/root/root" -xf -

# What is run by something else, and where that is; FILE must know the program that follows.
elsewhere() {
  case $1 in
    'sh tests/demo.sh'* | 'sh tests/run.sh'*) return 0 ;; # what runs all this
    socat*) grep -q socat "$source"/tests/clients/test-memory-scratch.sh ;;
    qemu-system*) grep -q qemu-system "$source"/tests/clients/guest.sh ;;
    ctest*) return 0 ;; # it would come back here
    *) return 1 ;;
  esac
}

# The commands of the sections whose titles match, without comments.
commands() {
  awk -v title="$1" '/^## / { inside = $0 ~ title } inside && /^    / { print substr($0, 5) }' \
    "$source/README.md" | sed 's/ \+# .*//'
}

{
  cat <<'SHELL'
set -eu
cd /root/project
export HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
ip link set lo up
SHELL
  all=$(commands 'What people do|Build and use|Put it in|its tests')
  install=$(commands 'Put it in' | sed '/dpkg --remove/,$d')
  rest=$(commands 'Put it in' | sed -n '/dpkg --remove/,$p')
  for part in "$(commands 'Build and use')" "$install" "$(commands 'What people do')" "$rest"; do
    while IFS= read -r command; do
      ! elsewhere "$command" || continue
      printf 'echo %q\n%s\n' "== $command" "$command"
      # Servers go to the background.
      case $command in
        mkfs*mount*) echo 'touch /mnt/file && umount /mnt && umount disk.img' ;;
        *' -U - '* | *--dump-plugin*) ;;
        nbdkit*)
          echo 'nbdinfo --size "nbd+unix:///?socket=disk.sock" 2>/dev/null || nbdinfo --size nbd://localhost'
          echo 'server=$(pgrep -n -x nbdkit); kill "$server"'
          echo 'while kill -0 "$server" 2>/dev/null; do sleep 0.1; done; rm -f disk.sock' ;;
      esac
    done <<<"$part"
  done
} >"$project/readme-commands"
[ "$(grep -c '^echo' "$project/readme-commands")" -ge 20 ] || fail "the README has too few commands"
while IFS= read -r command; do
  elsewhere "$command" || grep -qF -- "$command" "$project/readme-commands" ||
    [[ "$(commands 'its tests')" == *"$command"* ]] || fail "nobody runs: $command"
done <<<"$(commands '.')"

unshare --net --pid --fork --propagation unchanged --mount-proc="$dir/root/proc" chroot "$dir/root" \
  bash /root/project/readme-commands >"$dir/log" 2>&1 || { tail -n 40 "$dir/log"; fail "a command of the README"; }
cat "$dir/log" | grep '^=='
expect_lines "the log" "$(cat "$dir/log")" '^ramdisk_version=' 'Removing .diversion'
