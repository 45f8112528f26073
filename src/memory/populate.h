// Makes much memory present with all CPUs: the system zeroes it, which is slow with one.
//
// Thread contract: any thread, but not between a fork and its exec. Joins what it starts.

#ifndef RAMDISK_MEMORY_POPULATE_H
#define RAMDISK_MEMORY_POPULATE_H

#include <cstddef>

#include "memory/memory_source.h"

namespace ramdisk {

// As memory.populate(base, bytes), in pieces of 64 MiB by as many threads as there are CPUs; where
// threads cannot be had, by those that can and the caller. False if any piece failed; then the rest
// may not have been tried.
bool populate_in_parallel(MemorySource& memory, std::byte* base, size_t bytes);

}  // namespace ramdisk

#endif
