#!/usr/bin/env bash
# Proves that disks copied from other servers of nbdkit keep their holes: from a sparse disk of a
# terabyte, of which exactly what is allocated is stored, and from the tar and cow filters; and that
# a disk of which files were deleted becomes a small qcow2 image.
. "$(dirname "$0")/functions.sh"
requires nbdcopy nbdinfo nbdsh qemu-img mkfs.ext4 python3
nbdkit sparse-random --version >/dev/null 2>&1 || skip "nbdkit has no sparse-random plugin"
nbdkit null --filter=tar --version >/dev/null 2>&1 || skip "nbdkit has no tar filter"

# Clients here leave with answers outstanding, which nbdkit before 1.34 survives with one thread only.
nbdkit_options=(--threads=1)

stored() {
  nbdcopy "nbd+unix:///stats?socket=$socket" - |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["stored_bytes"])'
}
data_of() { nbdinfo --map --totals "$1" | awk '$NF == "data" { print $1 }'; }

make_files "$dir/files" 60
truncate -s 192M "$dir/disk.img"
mkfs.ext4 -q -N 40000 -d "$dir/files" "$dir/disk.img"
tar -C "$dir" -cf "$dir/disk.tar" disk.img

for allocator in $(growing_allocators); do

  # sparse-random checks what is written to it: another's content would be an error.
  random=(sparse-random 1T seed=42 percent=0.01 runlength=1048576 random-content=true)
  start_nbdkit 1T "allocator=$allocator" stats-export=stats
  allocated=$(nbdkit -U - "${random[@]}" --run 'nbdinfo --map --totals "$uri"' |
    awk '$NF == "data" { print $1 }')
  [ "$allocated" -ge $((50 << 20)) ] || fail "the source has only $allocated bytes"
  nbdkit -U - "${random[@]}" --run "nbdcopy --flush --connections=4 \"\$uri\" '$uri'"
  echo "allocator=$allocator: the source has $allocated bytes; stored are $(stored)," \
    "in the map $(data_of "$uri")"
  expect_same "what is stored" "$allocated" "$(stored)"
  expect_same "the data in the map" "$allocated" "$(data_of "$uri")"
  nbdkit -U - "${random[@]}" --run "nbdcopy --flush --connections=4 '$uri' \"\$uri\""
  # That it does check: one byte that is not the same, in the first of the data.
  at=$(nbdinfo --map "$uri" | awk '$NF == "data" && !seen++ { print $1 }')
  nbdsh -u "$uri" -c "b = h.pread(1, $at); h.pwrite(bytes([b[0] ^ 1]), $at)"
  if nbdkit -U - "${random[@]}" --run "nbdcopy '$uri' \"\$uri\"" 2>/dev/null; then
    fail "the other server does not see the changed byte"
  fi
  stop_nbdkit

  # From a disk in a tar file, and from one that was changed by way of the cow filter.
  start_nbdkit 192M "allocator=$allocator" stats-export=stats
  nbdkit -U - file "$dir/disk.tar" tar-entry=disk.img --filter=tar \
    --run "nbdcopy --flush --connections=4 \"\$uri\" '$uri'"
  nbdcopy "$uri" - | cmp - "$dir/disk.img" || fail "allocator=$allocator: from the tar filter"
  nbdkit -U - --filter=cow file "$dir/disk.img" --run "
    nbdsh -u \"\$uri\" -c 'h.pwrite(b\"changed\" * 10000, 10000001)' -c 'h.trim(1 << 20, 20 << 20)' &&
    nbdcopy --flush --connections=4 \"\$uri\" '$uri' && nbdcopy \"\$uri\" '$dir/changed.img'"
  nbdcopy "$uri" - | cmp - "$dir/changed.img" || fail "allocator=$allocator: from the cow filter"
  ! cmp -s "$dir/changed.img" "$dir/disk.img" || fail "nothing was changed"
  stop_nbdkit

  # As a base that the cow filter leaves alone.
  nbdkit -U - --filter=cow "$plugin" 192M "allocator=$allocator" cow-on-read=true \
    --run "nbdcopy '$dir/disk.img' \"\$uri\" && nbdcopy \"\$uri\" -" | cmp - "$dir/disk.img" ||
    fail "allocator=$allocator: under the cow filter"

  # Noise is written and overwritten with zeroes: the image of the rest is small.
  start_nbdkit 512M "allocator=$allocator"
  nbdcopy "$dir/disk.img" "$uri"
  qemu-img convert -f raw -O qcow2 "$uri" "$dir/before.qcow2"
  nbdsh -u "$uri" -c 'import os' -c 'for i in range(256, 384): h.pwrite(os.urandom(1 << 20), i << 20)'
  qemu-img convert -f raw -O qcow2 "$uri" "$dir/full.qcow2"
  nbdsh -u "$uri" -c 'for i in range(256, 320): h.pwrite(bytes(1 << 20), i << 20)' \
    -c 'h.trim(64 << 20, 320 << 20)'
  qemu-img convert -f raw -O qcow2 "$uri" "$dir/after.qcow2"
  qemu-img compare -f qcow2 -F raw "$dir/after.qcow2" "$uri"
  sizes=$(stat -c %s "$dir"/{before,full,after}.qcow2 | paste -sd ' ')
  echo "allocator=$allocator: qcow2 images before, full and after: $sizes"
  read -r before full after <<<"$sizes"
  [ "$full" -ge $((before + (127 << 20))) ] || fail "allocator=$allocator: the full image is too small"
  [ "$after" -le $((before + (1 << 20))) ] || fail "allocator=$allocator: the image stays large"
  stop_nbdkit
done
