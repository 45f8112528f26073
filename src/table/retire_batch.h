// RetireBatch: collects unlinked blocks and retires them together, so that the mutex of the slabs
// is locked once for many.
//
// Lives no longer than the guard. Not for use by several threads.

#ifndef RAMDISK_TABLE_RETIRE_BATCH_H
#define RAMDISK_TABLE_RETIRE_BATCH_H

#include <array>
#include <cstddef>

#include "base/check.h"
#include "table/slab_allocator.h"

namespace ramdisk {

class RetireBatch {
 public:
  RetireBatch(SlabAllocator& slabs, const Epoch::Guard& guard) : slabs_(slabs), guard_(guard) {}
  ~RetireBatch() { flush(); }
  RetireBatch(const RetireBatch&) = delete;
  RetireBatch& operator=(const RetireBatch&) = delete;

  // Adds a block that has been unlinked already.
  void add(std::byte* block) {
    DCHECK(block && count_ < blocks_.size());
    blocks_[count_++] = block;
    if (count_ == blocks_.size()) flush();
  }

 private:
  void flush() {
    slabs_.retire({blocks_.data(), count_}, guard_);
    count_ = 0;
  }

  SlabAllocator& slabs_;
  const Epoch::Guard& guard_;
  std::array<std::byte*, 64> blocks_;
  size_t count_ = 0;
};

}  // namespace ramdisk

#endif
