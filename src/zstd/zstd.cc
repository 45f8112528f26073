// The functions by which the registry reaches the zstd disk.

#include "disk/zstd.h"

#include "zstd/codec.h"
#include "zstd/zstd_disk.h"

namespace ramdisk {

ZstdSupport ask_zstd() {
  const LevelRange levels = zstd_levels();
  return {zstd_version(), levels.least, levels.most};
}

std::unique_ptr<Allocator> make_zstd_disk(const Environment& environment, uint64_t disk_bytes,
                                          const AllocatorOptions& options) {
  return std::make_unique<ZstdDisk>(environment, disk_bytes, options);
}

}  // namespace ramdisk
