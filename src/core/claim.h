// Claim: what memory is wanted for, and so how much of a limit it may use.
//
// A limit is shared out by marks, as a flash drive keeps blocks aside for its own garbage
// collection. From the most to the least that is left alone:
//
//   optional   what makes a disk faster: pages that wait uncompressed, more dictionaries
//   data       what a client writes
//   reclaim    what turns gaps into memory again, and gives back more than it takes
//
// What reclaim needs is never lent to the others, so it can always work.

#ifndef RAMDISK_CORE_CLAIM_H
#define RAMDISK_CORE_CLAIM_H

namespace ramdisk {

enum class Claim { optional, data, reclaim };

}  // namespace ramdisk

#endif
