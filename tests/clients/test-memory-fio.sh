#!/usr/bin/env bash
# Proves that fio, with its NBD engine and verification, finds every block that it wrote.
. "$(dirname "$0")/functions.sh"
requires fio
grep -qw nbd <<<"$(fio --enghelp 2>/dev/null)" || skip "fio was built without its nbd engine"

# job NAME OPTION...: writes with checksums, reads all of it again and verifies.
job() {
  local name=$1
  shift
  (
    cd "$dir" # fio leaves files with the state of the verification
    fio --name="$name" --ioengine=nbd --uri="$uri" --verify=crc32c --verify_fatal=1 \
      --do_verify=1 --randseed=42 --thread "$@" >"$dir/fio" 2>&1
  ) || { tail -n 30 "$dir/fio"; fail "fio $name"; }
  ! grep -iE 'verify:|bad (magic|header)' "$dir/fio" || fail "fio $name"
}

for allocator in $(allocators); do
  start_nbdkit 256M "allocator=$allocator"
  job sequential --rw=write --bs=256k --size=128M --iodepth=16
  job random --rw=randwrite --bs=4k --size=64M --io_size=32M --iodepth=64
  job odd --rw=randwrite --bsrange=512-64k --bs_unaligned=1 --size=64M --io_size=32M --iodepth=32
  job compressible --rw=randwrite --bs=16k --size=64M --io_size=64M --iodepth=32 \
    --buffer_compress_percentage=60 --refill_buffers
  job mixed --rw=randrw --rwmixread=50 --bs=8k --size=64M --io_size=32M --iodepth=32
  # Four connections, each with a quarter of the disk.
  job connections --rw=randwrite --bs=4k --size=16M --iodepth=16 --numjobs=4 --offset_increment=64M
  stop_nbdkit
done
