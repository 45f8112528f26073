#!/usr/bin/env bash
# Proves that every command in the manual page works as it stands there.
#
# The indented lines of the page that begin with a program's name are run in order, in a directory
# of their own, by a shell for which nbdkit is a small script: it puts the plugin under test in the
# place of the name memory, and servers on a socket in the test's directory, where the manual says
# nothing about that. Each server that stays is looked at by a client and then ended.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/fuse.sh"
requires nbdinfo nbdcopy nbdsh qemu-img
requires_fuse
requires_root # for mlock
page=${RAMDISK_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}/man/nbdkit-memory-plugin.pod
[ -e "$page" ] || fail "there is no $page"

# The synopsis is not made of commands: it has brackets and names in capitals.
grep -E '^ +(nbdkit|nbdfuse|nbdcopy|nbdinfo|nbdsh|qemu-img|touch|fusermount3) ' "$page" |
  grep -v 'SIZE' | sed 's/^ *//' >"$dir/commands"
[ "$(wc -l <"$dir/commands")" -ge 10 ] || fail "the page has too few commands"

mkdir "$dir/bin" "$dir/run"
real=$(command -v nbdkit)
cat >"$dir/bin/nbdkit" <<SHIM
#!/usr/bin/env bash
words=() extra=(-P "$dir/pid" -U "$dir/default.sock")
for word; do
  case \$word in
    memory) word="$plugin" ;;
    --unix=* | -U) extra=(-P "$dir/pid") ;;
    -s | --dump-plugin) extra=() ;;
    --run) extra=() ;;
    -f) continue ;; # into the background all the same, or it would not end
  esac
  words+=("\$word")
done
exec "$real" "\${extra[@]}" "\${words[@]}"
SHIM
chmod +x "$dir/bin/nbdkit"
export PATH=$dir/bin:$PATH

cd "$dir/run"
truncate -s 64M disk.img
tar -cf "$dir/files.tar" -C / usr/include 2>/dev/null || :
head -c 8000000 "$dir/files.tar" | dd of=disk.img bs=1M seek=2 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 disk.img disk.qcow2
cp disk.img original.img
head -c 80M /dev/urandom >files.tar # more than the disk of an example may hold

server=
socket=
end_server() {
  [ -n "$server" ] || return 0
  kill "$server" 2>/dev/null || fail "the server is gone"
  while kill -0 "$server" 2>/dev/null && [ "$(ps -o stat= -p "$server")" != Z ]; do sleep 0.05; done
  server=
}
at_exit 'end_server; umount "$dir/run/fuse.img" 2>/dev/null'

run_server() {
  end_server
  rm -f "$dir/pid" "$dir"/*.sock ./*.sock
  bash -c "$1"
  # nbdkit writes it after it has gone into the background.
  until [ -s "$dir/pid" ]; do sleep 0.05; done
  server=$(cat "$dir/pid")
  socket=$(sed -n 's/.*--unix=\([^ ]*\).*/\1/p' <<<"$1")
  name=$(sed -n 's/.* exportname=\([^ ]*\).*/\1/p' <<<"$1")
  nbdinfo --size "nbd+unix:///$name?socket=${socket:-$dir/default.sock}"
}

run_fuse() {
  local tries fuse=
  # The file that it names must not be one that another example needs.
  bash -c "exec ${1/disk.img/fuse.img}" &
  fuse=$!
  for ((tries = 0; tries < 600; tries++)); do
    ! mountpoint -q fuse.img || break
    kill -0 "$fuse" 2>/dev/null || fail "nbdfuse did not start: $1"
    sleep 0.05
  done
  stat -c 'fuse.img has %s bytes' fuse.img
  dd if=/dev/zero of=fuse.img bs=4096 count=1 seek=1000000 conv=notrunc status=none
  umount fuse.img
  wait "$fuse"
}

while IFS= read -r command; do
  echo "== $command"
  case $command in
    *' --run '* | *' --dump-plugin'*) bash -c "$command" ;;
    nbdkit*) run_server "$command" ;;
    nbdfuse*) run_fuse "$command" ;;
    touch*) bash -c "${command/disk.img/fuse.img}" ;;
    'nbdcopy files.tar '*)
      ! errors=$(bash -c "$command" 2>&1) || fail "the disk is not full"
      expect_lines "a full disk" "$errors" 'write at offset .* failed: No space left on device'
      ;;
    fusermount3*) ;; # part of run_fuse
    *) bash -c "$command" ;;
  esac </dev/null
done <"$dir/commands"
end_server

# What went in came out, and after it zeroes: the disk of the example is larger.
cmp -n "$(stat -c %s original.img)" original.img saved.img || fail "the saved image differs"
