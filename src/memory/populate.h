// Makes a large range of memory present with all CPUs: the system zeroes it, which is slow with
// one.
//
// Thread contract: any thread, but not between a fork and its exec. Joins the threads it starts.

#ifndef RAMDISK_MEMORY_POPULATE_H
#define RAMDISK_MEMORY_POPULATE_H

#include <cstddef>

#include "memory/memory_source.h"

namespace ramdisk {

// As memory.populate(base, bytes), in pieces of 64 MiB by as many threads as there are CPUs, or as
// many as the system allows; the caller is one of them. Returns false if any piece failed; then
// some pieces may not have been tried.
bool populate_in_parallel(MemorySource& memory, std::byte* base, size_t bytes);

}  // namespace ramdisk

#endif
