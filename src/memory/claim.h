// Claim: what memory is wanted for, and so how much of a limit it may use.
//
// A limit is shared out by marks, as a flash drive keeps blocks aside for its own garbage
// collection. From the most to the least that is left alone:
//
//   optional   what makes a disk faster: pages that wait uncompressed, more dictionaries
//   data       what a client writes
//   rewrite    what takes the place of something at least as large, which then comes free
//   reclaim    what turns gaps into memory again: the cleaner's
//
// What reclaim needs is never lent to the others, so it can always work; a third of it is open to
// rewrites, which cannot wait for it.

#ifndef RAMDISK_MEMORY_CLAIM_H
#define RAMDISK_MEMORY_CLAIM_H

namespace ramdisk {

enum class Claim { optional, data, rewrite, reclaim };

}  // namespace ramdisk

#endif
