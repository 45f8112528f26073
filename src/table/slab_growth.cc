// How a SlabAllocator gets memory from the system: as whole slabs, as slabs of absent blocks, or as
// a slab that grows.

#include <algorithm>
#include <new>

#include "base/check.h"
#include "table/slab.h"
#include "table/slab_allocator.h"

namespace ramdisk {

using slab_bits::Part;
using slab_bits::part_of_range;

// Maps a slab and populates its first `ready` bytes.
SlabAllocator::Slab* SlabAllocator::map_slab(bool huge, size_t ready, Claim claim) {
  void* base = memory_.map(kSlabBytes, kSlabBytes, huge);
  if (!base) return nullptr;
  if (!memory_.populate_for(claim, base, ready)) {
    memory_.unmap(base, kSlabBytes);
    return nullptr;
  }
  CHECK(reinterpret_cast<uintptr_t>(base) % kSlabBytes == 0);
  Slab* slab = new (base) Slab;
  slab->owner = this;
  slab->ready_bytes = ready;
  return slab;
}

// Makes at least one more block of growing_ present; starts a new slab if there is none.
bool SlabAllocator::grow_in_steps(Claim claim) {
  const size_t ready = growing_ ? growing_->ready_bytes : 0;
  const size_t next_block = growing_ ? growing_->ready_blocks + 1 : 1;
  const size_t least = (kHeaderBytes + next_block * block_bytes_ + 4095) / 4096 * 4096 - ready;
  const size_t end = (ready + least + kGrowthStep - 1) / kGrowthStep * kGrowthStep;
  const size_t usual = std::min(end, kSlabBytes) - ready;
  const auto grow_by = [&](size_t step) REQUIRES(mutex_) {
    if (growing_) {
      std::byte* next = reinterpret_cast<std::byte*>(growing_) + ready;
      if (!memory_.populate_for(claim, next, step)) return false;
      growing_->ready_bytes += step;
    } else {
      growing_ = map_slab(false, step, claim);
      if (!growing_) return false;
      push(growing_, kAll);
      if (!first_) first_ = growing_;
    }
    held_ += step;
    return true;
  };
  if (!grow_by(usual) && (usual == least || !grow_by(least))) return false;
  Slab* const slab = growing_;
  const size_t blocks = std::min(blocks_, (slab->ready_bytes - kHeaderBytes) / block_bytes_);
  set_free_range(slab, slab->ready_blocks, blocks, false);
  slab->ready_blocks = static_cast<uint32_t>(blocks);
  if (blocks == blocks_) growing_ = nullptr;
  return true;
}

// Several threads may be here at once, each with a slab of its own; blocks that one of them does
// not need serve the next request, up to the limit of free memory. Where there is no memory for a
// whole slab there may be some for single blocks: blocks of whole pages become present one by one,
// others in a slab that grows. Parts of such a slab cannot be returned to the system, so it does
// not grow while memory is short and retired blocks are about to be freed.
bool SlabAllocator::grow(Claim claim) {
  if (!can_discard_ && retired_.load(std::memory_order_relaxed) > 0 && memory_.under_pressure())
    return false;
  if (growth_ == Growth::slab) {
    {
      MutexLock lock(mutex_);
      if (growing_ || !first_) return grow_in_steps(claim);
    }
    if (Slab* slab = map_slab(true, kSlabBytes, claim)) return add_slab(slab, false);
  }
  if (can_discard_) {
    Slab* slab = map_slab(false, kHeaderBytes, claim);
    return slab && add_slab(slab, true);
  }
  MutexLock lock(mutex_);
  return grow_in_steps(claim);
}

// Adds a slab whose blocks are all free, and either present or `absent`. Where populating takes
// long, many threads come here with a slab at once; what they cannot need soon goes back.
bool SlabAllocator::add_slab(Slab* slab, bool absent) {
  slab->ready_bytes = kSlabBytes;
  slab->ready_blocks = static_cast<uint32_t>(blocks_);
  Slab* dropped = nullptr;
  {
    MutexLock lock(mutex_);
    const bool needed = absent || present_ * block_bytes_ <= free_limit();
    push(slab, kAll);
    held_ += kSlabBytes;
    set_free_range(slab, 0, blocks_, false);
    for (size_t i = 0; absent && i < blocks_;) {
      const Part part = part_of_range(i, blocks_);
      set_absent(slab, part.word, part.mask);
      i += part.count;
    }
    if (!needed) {
      unlink(slab);
      dropped = slab;
    }
  }
  unmap_chain(dropped);
  return true;
}

}  // namespace ramdisk
