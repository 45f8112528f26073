// AllocationBatch: allocates blocks several at a time, for a request that will need about that
// many.
//
// Unused blocks are freed when the batch ends. Not for use by several threads.

#ifndef RAMDISK_TABLE_ALLOCATION_BATCH_H
#define RAMDISK_TABLE_ALLOCATION_BATCH_H

#include <algorithm>
#include <cstddef>

#include "base/check.h"
#include "table/slab_allocator.h"

namespace ramdisk {

class AllocationBatch {
 public:
  struct Block {
    std::byte* base = nullptr;  // nullptr: no memory
    bool zeroed = false;        // every byte is zero
  };

  static constexpr size_t kMost = 64;  // blocks that are allocated together

  explicit AllocationBatch(SlabAllocator& slabs) : slabs_(slabs) {}
  ~AllocationBatch() { slabs_.free(run_); }
  AllocationBatch(const AllocationBatch&) = delete;
  AllocationBatch& operator=(const AllocationBatch&) = delete;

  // Returns one block. `expected` (>= 1) is how many the request may need from here on, this one
  // included.
  Block take(size_t expected) {
    DCHECK(expected >= 1);
    if (run_.count == 0) run_ = slabs_.allocate(std::min(expected, kMost));
    if (run_.count == 0) return {};
    const Block block{run_.base, run_.zeroed};
    run_.base += slabs_.block_bytes();
    --run_.count;
    return block;
  }

 private:
  SlabAllocator& slabs_;
  SlabAllocator::Run run_;
};

}  // namespace ramdisk

#endif
