// The compressing disk, as the registry sees it. A folder of its own, src/zstd, defines these
// functions; a build without zstd has neither.
//
// Thread contract: start-up.

#ifndef RAMDISK_DISK_ZSTD_H
#define RAMDISK_DISK_ZSTD_H

#include <cstdint>
#include <memory>

#include "disk/registry.h"

namespace ramdisk {

ZstdSupport ask_zstd();

std::unique_ptr<Allocator> make_zstd_disk(const Environment& environment, uint64_t disk_bytes,
                                          const AllocatorOptions& options);

}  // namespace ramdisk

#endif
