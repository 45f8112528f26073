// Whether a limit is enough for an allocator to work at all.
//
// Thread contract: start-up.

#ifndef RAMDISK_DISK_LEAST_MEMORY_H
#define RAMDISK_DISK_LEAST_MEMORY_H

#include <string>

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

}  // namespace ramdisk

#endif
