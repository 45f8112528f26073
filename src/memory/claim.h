// Claim: what memory is wanted for, and therefore how much of a limit it may use.
//
// Each claim has to leave a part of the limit alone, as a flash drive keeps blocks aside for its
// own garbage collection. From the one that leaves the most to the one that leaves nothing:
//
//   optional   what makes a disk faster: the write cache, more dictionaries
//   data       what a client writes
//   rewrite    what replaces something at least as large, which is then freed
//   reclaim    what the cleaner needs to turn gaps into free memory
//
// What reclaim needs is kept from optional and data, so the cleaner can always work; a third of it
// is open to rewrites, which cannot wait for the cleaner.

#ifndef RAMDISK_MEMORY_CLAIM_H
#define RAMDISK_MEMORY_CLAIM_H

namespace ramdisk {

enum class Claim { optional, data, rewrite, reclaim };

}  // namespace ramdisk

#endif
