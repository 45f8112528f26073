// How an Arena gets memory from the system: whole slabs, and slabs of absent blocks.

#include <new>

#include "core/arena.h"
#include "core/arena_slab.h"
#include "core/check.h"

namespace ramdisk {

using arena_bits::Part;
using arena_bits::part_of_range;
using arena_bits::round_up;

// Maps a slab and populates its first `ready` bytes.
Arena::Slab* Arena::map_slab(bool huge, size_t ready, Claim claim) {
  void* base = memory_.map(kSlabBytes, kSlabBytes, huge);
  if (!base) return nullptr;
  if (!memory_.populate_for(claim, base, ready)) {
    memory_.unmap(base, kSlabBytes);
    return nullptr;
  }
  CHECK(reinterpret_cast<uintptr_t>(base) % kSlabBytes == 0);
  Slab* slab = new (base) Slab;
  slab->owner = this;
  return slab;
}

// Several threads may be here at once, each with a slab of its own; what one of them does not need
// serves the next request. Where there is no memory for a whole slab there may be some for blocks.
bool Arena::grow(Claim claim) {
  const bool first = held_bytes() == 0;
  if (growth_ == Growth::slab && !first) {
    if (Slab* slab = map_slab(true, kSlabBytes, claim)) {
      add_slab(slab, false);
      return true;
    }
  }
  Slab* slab = map_slab(false, kHeaderBytes, claim);
  if (slab) add_slab(slab, true);
  return slab != nullptr;
}

// A slab of which all blocks are free, and present or `absent`. The last group may end within a
// page, which is counted from the start.
void Arena::add_slab(Slab* slab, bool absent) {
  const size_t bytes = blocks_ * block_bytes_;
  const size_t whole = absent ? kHeaderBytes + round_up(bytes, kPage) : kSlabBytes;
  slab->other_bytes = static_cast<uint32_t>(whole - bytes);
  MutexLock lock(mutex_);
  if (!first_) first_ = slab;
  push(slab, kAll);
  held_ += whole;
  set_free_range(slab, 0, blocks_, false);
  for (size_t i = 0; absent && i < blocks_;) {
    const Part part = part_of_range(i, blocks_);
    set_absent(slab, part.word, part.mask);
    i += part.count;
  }
}

}  // namespace ramdisk
