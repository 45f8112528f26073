// How an Arena gives the memory of free blocks back to the system.

#include <utility>

#include "core/arena.h"
#include "core/arena_slab.h"
#include "core/check.h"

namespace ramdisk {

using arena_bits::count_bits;
using arena_bits::test;

// What invariant 3 allows, in bytes.
uint64_t Arena::dirty_limit() const {
  return keep_.bytes + taken_ * block_bytes_ / keep_.part;
}

// Gives dirty blocks back to the system, slab by slab, until half of the allowance is free again,
// or there is none left. The blocks are out of the bitmaps meanwhile, so the slab cannot become
// empty and vanish.
void Arena::purge(bool all) noexcept {
  for (;;) {
    Slab* slab = nullptr;
    Bitmap blocks;
    {
      MutexLock lock(mutex_);
      slab = heads_[kDirty];
      DCHECK(!slab || slab->dirty_count > 0);
      if (!slab || !can_purge()) return;
      if (!all && dirty_ * block_bytes_ <= dirty_limit() / 2) return;
      blocks = slab->dirty;
      for (size_t w = 0; w < words_; ++w) clear_free(slab, w, blocks[w]);
    }
    const bool clean = discard_blocks(slab, blocks);
    Slab* dropped = nullptr;
    {
      MutexLock lock(mutex_);
      for (size_t w = 0; w < words_; ++w) {
        set_free(slab, w, blocks[w], !clean);
        if (clean) set_absent(slab, w, blocks[w]);
      }
      if (!clean) discard_works_ = false;
      dropped = drop_if_empty(slab, nullptr);
    }
    unmap_chain(dropped);
  }
}

void Arena::set_keep(Keep keep) {
  MutexLock lock(mutex_);
  keep_ = keep;
}

void Arena::release_free() noexcept {
  Slab* dropped = nullptr;
  {
    MutexLock lock(mutex_);
    dropped = std::exchange(spare_, nullptr);
    if (dropped) {
      unlink(dropped);
      dropped->next_dropped = nullptr;
    }
    if (can_purge()) make_all_dirty();
  }
  unmap_chain(dropped);
  purge(true);
}

// Counts what is free and present as dirty, though it is clean, so that it is purged.
void Arena::make_all_dirty() {
  for (Slab* slab = heads_[kUsable]; slab; slab = slab->links[kUsable].next) {
    uint32_t count = 0;
    for (size_t w = 0; w < words_; ++w) {
      const uint64_t clean = slab->free[w] & ~slab->dirty[w] & ~slab->absent[w];
      slab->dirty[w] |= clean;
      count += count_bits(clean);
    }
    if (count > 0 && slab->dirty_count == 0) push(slab, kDirty);
    slab->dirty_count += count;
    dirty_ += count;
  }
}

// False if any part could not be discarded; then all of it counts as dirty.
bool Arena::discard_blocks(Slab* slab, const Bitmap& blocks) noexcept {
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
