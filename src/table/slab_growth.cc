// How a SlabAllocator gets memory from the system: as whole slabs, as slabs of absent blocks, or as
// a slab that grows.

#include <algorithm>
#include <new>

#include "base/check.h"
#include "base/thread_time.h"
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

// One thread for each CPU, but only a few while little is stored.
size_t SlabAllocator::most_makers() const {
  constexpr uint64_t kForOneMore = 32 * kSlabBytes;
  return static_cast<size_t>(std::min<uint64_t>(cpus_, 2 + held_ / kForOneMore));
}

// Returns true, and counts this thread as a maker, when it may make a slab; false when there may be
// free blocks by now.
bool SlabAllocator::wait_for_turn() {
  if (heads_[kUsable]) return false;
  if (makers_ < most_makers()) {
    ++makers_;
    return true;
  }
  ++waiting_;
  slab_made_.wait(mutex_);
  --waiting_;
  wake_next();
  return false;
}

// Threads that wait are woken one by one, each by the one before it, as long as there is something
// for them: free blocks, or a turn. While nobody makes a slab there is a turn, so that none waits
// for ever.
void SlabAllocator::wake_next() noexcept {
  if (waiting_ > 0 && (heads_[kUsable] || makers_ < most_makers())) slab_made_.notify_one();
}

// Several threads may be here at once, each with a slab of its own; blocks that one of them does
// not need serve the next request. Once small pages are known to be the faster ones, blocks of
// whole pages become present as they are needed, unless memory may become short: then a slab is
// whole, and its free blocks are there for those that cannot wait. Where there is no memory for a
// whole slab there may be some for single blocks: blocks of whole pages become present one by one,
// others in a slab that grows. Parts of such a slab cannot be returned to the system, so it does
// not grow while memory is short and retired blocks are about to be freed.
bool SlabAllocator::grow(Claim claim) {
  const auto add = [&](bool huge, bool whole) {
    Slab* const slab = map_slab(huge, whole ? kSlabBytes : kHeaderBytes, claim);
    if (slab) add_slab(slab, !whole);
    return slab != nullptr;
  };
  if (!can_discard_ && retired_.load(std::memory_order_relaxed) > 0 && memory_.under_pressure())
    return false;
  const bool small = growth_ == Growth::gradual && held_bytes() < kGradualBytes;
  if (growth_ != Growth::block && !small) {
    bool huge = false;
    bool whole = true;
    {
      MutexLock lock(mutex_);
      if (growing_ || (!first_ && growth_ == Growth::slab)) return grow_in_steps(claim);
      if (!wait_for_turn()) return true;
      huge = huge_pages_.next();
      whole = huge || !can_discard_ || !huge_pages_.compared() || memory_.may_become_short();
    }
    const auto begin = thread_time();
    const bool added = add(huge, whole);
    const auto took = thread_time() - begin;
    {
      MutexLock lock(mutex_);
      if (added && whole) huge_pages_.took(huge, took);
      --makers_;
      wake_next();
    }
    if (added) return true;
  }
  if (can_discard_) return add(false, false);
  MutexLock lock(mutex_);
  return grow_in_steps(claim);
}

// Adds a slab whose blocks are all free, and either present or `absent`.
void SlabAllocator::add_slab(Slab* slab, bool absent) {
  slab->ready_bytes = kSlabBytes;
  slab->ready_blocks = static_cast<uint32_t>(blocks_);
  MutexLock lock(mutex_);
  push(slab, kAll);
  held_ += kSlabBytes;
  set_free_range(slab, 0, blocks_, false);
  for (size_t i = 0; absent && i < blocks_;) {
    const Part part = part_of_range(i, blocks_);
    set_absent(slab, part.word, part.mask);
    i += part.count;
  }
}

}  // namespace ramdisk
