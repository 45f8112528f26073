#!/usr/bin/env bash
# Proves that images of filesystems, of ext4, of xfs and in a partition, go through load= and save=
# of every allocator with every byte and every hole.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/image.sh"
requires python3 nbdsh nbdcopy mkfs.ext4 e2fsck

make_files "$dir/files" 60
mkdir "$dir/images"
truncate -s 300M "$dir/images/ext4.img"
mkfs.ext4 -q -F -d "$dir/files" "$dir/images/ext4.img"
if command -v mkfs.xfs >/dev/null; then
  truncate -s 320M "$dir/images/xfs.img"
  mkfs.xfs -q -f "$dir/images/xfs.img"
else
  echo "left out: mkfs.xfs is not installed"
fi
# One partition, from the first MiB on; and 77 bytes that belong to nothing.
cp --sparse=always "$dir/images/ext4.img" "$dir/partition"
python3 - "$dir/images/partitioned.img" "$dir/partition" <<'PYTHON'
import os, struct, sys
start = 1 << 20
size = os.path.getsize(sys.argv[2])
entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", start // 512, size // 512)
with open(sys.argv[1], "wb") as disk, open(sys.argv[2], "rb") as partition:
    disk.write(bytes(446) + entry + bytes(48) + b"\x55\xaa")
    at = 0
    while at < size:
        try:
            at = os.lseek(partition.fileno(), at, os.SEEK_DATA)
        except OSError:
            break
        end = os.lseek(partition.fileno(), at, os.SEEK_HOLE)
        disk.seek(start + at)
        partition.seek(at)
        disk.write(partition.read(end - at))
        at = end
    disk.truncate(start + size + 77)
PYTHON
rm -r "$dir/partition" "$dir/files"

# check IMAGE: by the filesystem's own tool.
check() {
  case $1 in
    */ext4.img) e2fsck -fn "$1" ;;
    */xfs.img) xfs_repair -n -f "$1" ;;
    */partitioned.img) e2fsck -fn "$1?offset=1048576" ;;
  esac >"$dir/check" 2>&1 || { cat "$dir/check"; fail "$1 is damaged"; }
}

mkdir "$dir/saved"
for image in "$dir"/images/*; do
  saved=$dir/saved/${image##*/}
  for allocator in $(allocators); do
    start_nbdkit "load=$image" "save=$saved" "allocator=$allocator"
    # A change that is none has it saved.
    nbdsh -u "$uri" -c 'h.pwrite(h.pread(4096, 0), 0)'
    nbdcopy "$uri" "$dir/copy.img"
    stop_nbdkit
    cmp "$image" "$saved" || fail "$allocator: another content was saved"
    check "$saved"
    # No fewer holes than there were, and as many as a client sees; the filesystem below may need a few
    # blocks for where the pieces are.
    for other in "$image" "$dir/copy.img"; do
      [ "$(blocks "$saved")" -le $(($(blocks "$other") + 256)) ] ||
        fail "$allocator: ${image##*/} takes $(blocks "$saved") blocks, not $(blocks "$other")"
    done
    echo "$allocator, ${image##*/}: $(du -k "$image" | cut -f1) -> $(du -k "$saved" | cut -f1) KiB"
    rm "$saved" "$dir/copy.img"
  done
done
