// Whether a limit is enough for an allocator to work at all.
//
// Thread contract: start-up.

#ifndef RAMDISK_DISK_LEAST_MEMORY_H
#define RAMDISK_DISK_LEAST_MEMORY_H

#include <string>

#include "base/sizes.h"
#include "memory/memory_source.h"
#include "ramdisk/status.h"

namespace ramdisk {

// EINVAL, naming the least that works, if `memory` has a limit below `least` bytes.
inline Status check_limit(const MemorySource& memory, const char* allocator, uint64_t least) {
  if (memory.limit_bytes() >= least) return {};
  const uint64_t kib = least / 1024 + (least % 1024 != 0);
  return Status::error(EINVAL, "max-memory=" + std::to_string(memory.limit_bytes()) +
                                   ": allocator=" + allocator + " needs at least " +
                                   std::to_string(kib) + "K");
}

// ENOMEM, for a disk that needs `bytes` bytes and was refused the first of them: other disks may
// have taken what the limit allows.
inline Status too_little_left(MemorySource& memory, const char* allocator, uint64_t bytes) {
  return Status::error(ENOMEM, std::string("allocator=") + allocator + ": a disk needs at least " +
                                   short_size(bytes) + ", and " + short_size(memory.room()) +
                                   " are left (" + memory.what_bounds_room() + ")");
}

}  // namespace ramdisk

#endif
