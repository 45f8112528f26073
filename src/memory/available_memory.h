// How much memory this process could still take.
//
// Thread contract: any thread. Reads files of /proc and /sys; not for the data path.

#ifndef RAMDISK_MEMORY_AVAILABLE_MEMORY_H
#define RAMDISK_MEMORY_AVAILABLE_MEMORY_H

#include <cstdint>
#include <string>

namespace ramdisk {

struct AvailableMemory {
  uint64_t bytes = UINT64_MAX;  // UINT64_MAX: not known
  std::string limit;            // what sets the limit, for people
  uint64_t total = UINT64_MAX;  // of the machine, or its groups' limit if that is less
};

// Whether free swap counts as available. It does not for memory that is to be locked.
enum class Swap { counts, does_not };

// The least of what the machine has (MemAvailable and SwapFree of /proc/meminfo) and what the
// process's cgroup (v1 or v2) and each cgroup above it leave. Tests give a `root`, which is put
// before every path.
AvailableMemory available_memory(Swap swap = Swap::counts, const std::string& root = {});

}  // namespace ramdisk

#endif
