// How a SlabAllocator returns the memory of free blocks to the system.

#include <utility>

#include "base/check.h"
#include "table/slab.h"
#include "table/slab_allocator.h"

namespace ramdisk {

using slab_bits::test;

// How many bytes invariant 3 allows.
uint64_t SlabAllocator::dirty_limit() const {
  return keep_.bytes + taken_ * block_bytes_ / keep_.part;
}

// Returns dirty blocks to the system, slab by slab, until half of the allowance is free again; or
// `all` blocks that are free and present. Meanwhile the blocks are not in the bitmaps, so the slab
// cannot become empty and be unmapped.
void SlabAllocator::purge(bool all) noexcept {
  for (;;) {
    Slab* slab = nullptr;
    Bitmap blocks;
    {
      MutexLock lock(mutex_);
      slab = heads_[all ? kIdle : kDirty];
      if (!slab || !can_purge()) return;
      if (!all && dirty_ * block_bytes_ <= dirty_limit() / 2) return;
      for (size_t w = 0; w < words_; ++w) {
        blocks[w] = all ? slab->free[w] & ~slab->absent[w] : slab->dirty[w];
        clear_free(slab, w, blocks[w]);
      }
      returning_.fetch_add(1, std::memory_order_relaxed);
    }
    const bool zeroed = discard_blocks(slab, blocks);
    Slab* dropped = nullptr;
    {
      MutexLock lock(mutex_);
      for (size_t w = 0; w < words_; ++w) {
        set_free(slab, w, blocks[w], !zeroed);
        if (zeroed) set_absent(slab, w, blocks[w]);
      }
      if (!zeroed) discard_works_ = false;
      dropped = drop_if_empty(slab, nullptr);
    }
    returning_.fetch_sub(1, std::memory_order_release);
    unmap_chain(dropped);
  }
}

void SlabAllocator::set_keep(Keep keep) {
  MutexLock lock(mutex_);
  keep_ = keep;
}

void SlabAllocator::release_free() noexcept {
  Slab* dropped = nullptr;
  {
    MutexLock lock(mutex_);
    dropped = std::exchange(spare_, nullptr);
    if (dropped) {
      unlink(dropped);
      dropped->next_dropped = nullptr;
    }
  }
  unmap_chain(dropped);
  purge(true);
}

// Returns false if any part could not be discarded; then all of the blocks count as dirty.
bool SlabAllocator::discard_blocks(Slab* slab, const Bitmap& blocks) noexcept {
  memory_.expect_holes(slab, kSlabBytes);
  for (size_t i = 0; i < blocks_;) {
    size_t count = 0;
    while (i + count < blocks_ && test(blocks, i + count)) ++count;
    if (count > 0 && !memory_.discard(address_of(slab, i), count * block_bytes_)) return false;
    i += count + 1;
  }
  return true;
}

}  // namespace ramdisk
