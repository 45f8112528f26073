#include "table/slab_allocator.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/cpus.h"
#include "table/slab.h"

namespace ramdisk {

using slab_bits::count_bits;
using slab_bits::Part;
using slab_bits::part_of_range;
using slab_bits::test;

SlabAllocator::SlabAllocator(MemorySource& memory, Epoch& epoch, size_t block_bytes, Keep keep,
                             Growth growth)
    : memory_(memory),
      epoch_(epoch),
      block_bytes_(block_bytes),
      blocks_((kSlabBytes - kHeaderBytes) / block_bytes),
      words_((blocks_ + 63) / 64),
      can_discard_(block_bytes % 4096 == 0),
      growth_(growth),
      cpus_(cpus()),
      keep_(keep) {
  static_assert(sizeof(Slab) <= kHeaderBytes);
  CHECK(block_bytes >= kMinBlockBytes && block_bytes % 64 == 0 && blocks_ > 0);
  epoch_.add_reclaimer(this);
}

SlabAllocator::~SlabAllocator() {
  Slab* slab = nullptr;
  {
    MutexLock lock(mutex_);
    slab = heads_[kAll];
  }
  while (slab) {
    Slab* next = slab->links[kAll].next;
    memory_.unmap(slab, kSlabBytes);
    slab = next;
  }
}

SlabAllocator::Slab* SlabAllocator::slab_of(const void* p) {
  return reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(p) & ~(kSlabBytes - 1));
}

size_t SlabAllocator::index_of(const void* p) const {
  DCHECK((reinterpret_cast<uintptr_t>(p) & (kSlabBytes - 1)) >= kHeaderBytes);
  return ((reinterpret_cast<uintptr_t>(p) & (kSlabBytes - 1)) - kHeaderBytes) / block_bytes_;
}

std::byte* SlabAllocator::address_of(Slab* slab, size_t index) const {
  DCHECK(index < blocks_);
  return reinterpret_cast<std::byte*>(slab) + kHeaderBytes + index * block_bytes_;
}

std::byte* SlabAllocator::block_of(const void* p) const {
  return address_of(slab_of(p), index_of(p));
}

// Adds the slab to the lists in which it belongs, and removes it from the others.
void SlabAllocator::relist(Slab* slab) {
  const auto belongs = [&](List list, bool in) REQUIRES(mutex_) {
    if (in == static_cast<bool>(slab->lists >> list & 1)) return;
    slab->lists ^= 1u << list;
    in ? push(slab, list) : remove(slab, list);
  };
  belongs(kUsable, slab->free_count > 0);
  belongs(kDirty, slab->dirty_count > 0);
  belongs(kIdle, slab->free_count > slab->absent_count);
}

void SlabAllocator::push(Slab* slab, List list) {
  Slab* head = heads_[list];
  slab->links[list] = {nullptr, head};
  if (head) head->links[list].previous = slab;
  heads_[list] = slab;
}

void SlabAllocator::remove(Slab* slab, List list) {
  const Link link = slab->links[list];
  if (link.next) link.next->links[list].previous = link.previous;
  if (link.previous) {
    link.previous->links[list].next = link.next;
  } else {
    heads_[list] = link.next;
  }
  slab->links[list] = {};
}

// ---- free blocks

void SlabAllocator::set_free(Slab* slab, size_t word, uint64_t blocks, bool dirty) {
  const uint32_t count = count_bits(blocks);
  if (count == 0) return;
  CHECK((slab->free[word] & blocks) == 0);  // or a block would be handed out twice
  slab->free[word] |= blocks;
  slab->free_count += count;
  DCHECK(slab->free_count <= slab->ready_blocks || slab == growing_);
  if (dirty) {
    slab->dirty[word] |= blocks;
    slab->dirty_count += count;
    dirty_ += count;
  }
  relist(slab);
}

void SlabAllocator::set_free_range(Slab* slab, size_t first, size_t end, bool dirty) {
  while (first < end) {
    const Part part = part_of_range(first, end);
    set_free(slab, part.word, part.mask, dirty);
    first += part.count;
  }
}

void SlabAllocator::clear_free(Slab* slab, size_t word, uint64_t blocks) {
  if (blocks == 0) return;
  CHECK((slab->free[word] & blocks) == blocks);
  DCHECK((slab->dirty[word] & ~slab->free[word]) == 0);
  DCHECK((slab->absent[word] & (~slab->free[word] | slab->dirty[word])) == 0);
  const uint32_t dirty = count_bits(slab->dirty[word] & blocks);
  const uint32_t absent = count_bits(slab->absent[word] & blocks);
  DCHECK(slab->absent_count >= absent && slab->dirty_count >= dirty && dirty_ >= dirty);
  DCHECK(slab->free_count >= count_bits(blocks));
  slab->free[word] &= ~blocks;
  slab->dirty[word] &= ~blocks;
  slab->absent[word] &= ~blocks;
  slab->absent_count -= absent;
  held_ += absent * block_bytes_;
  slab->free_count -= count_bits(blocks);
  slab->dirty_count -= dirty;
  dirty_ -= dirty;
  relist(slab);
  if (slab == spare_) spare_ = nullptr;
}

// Marks free blocks that are not dirty as absent: their memory has been returned to the system.
void SlabAllocator::set_absent(Slab* slab, size_t word, uint64_t blocks) {
  const uint32_t count = count_bits(blocks);
  CHECK((slab->free[word] & ~slab->dirty[word] & ~slab->absent[word] & blocks) == blocks);
  DCHECK(held_ >= count * block_bytes_);
  slab->absent[word] |= blocks;
  slab->absent_count += count;
  held_ -= count * block_bytes_;
  relist(slab);
}

// Removes the slab from all lists if it is empty, for the caller to unmap when the mutex is
// released, and returns the chain of such slabs, which counts as returning until unmap_chain(). One
// empty slab and the first one are kept: a disk that grows and shrinks by a page must not map and
// unmap 2 MiB each time.
SlabAllocator::Slab* SlabAllocator::drop_if_empty(Slab* slab, Slab* dropped) {
  DCHECK(slab->free_count <= slab->ready_blocks);
  if (slab->free_count != slab->ready_blocks) return dropped;
  if (slab == first_ || slab == spare_ || slab == growing_) return dropped;
  if (!spare_) {
    spare_ = slab;
    return dropped;
  }
  unlink(slab);
  slab->next_dropped = dropped;
  return slab;
}

void SlabAllocator::unlink(Slab* slab) {
  CHECK(slab->free_count == slab->ready_blocks);
  DCHECK(held_ >= slab->ready_bytes - slab->absent_count * block_bytes_);
  DCHECK(dirty_ >= slab->dirty_count);
  held_ -= slab->ready_bytes - slab->absent_count * block_bytes_;
  dirty_ -= slab->dirty_count;
  for (const List list : {kUsable, kDirty, kIdle}) {
    if (slab->lists >> list & 1) remove(slab, list);
  }
  remove(slab, kAll);
  returning_.fetch_add(1, std::memory_order_relaxed);
}

void SlabAllocator::unmap_chain(Slab* slab) noexcept {
  while (slab) {
    Slab* next = slab->next_dropped;
    memory_.unmap(slab, kSlabBytes);
    returning_.fetch_sub(1, std::memory_order_release);
    slab = next;
  }
}

// ---- allocating

// Blocks that are present go first; otherwise their memory would be returned while absent blocks
// are populated.
SlabAllocator::Run SlabAllocator::allocate(size_t most, Claim claim) {
  DCHECK(most >= 1);
  for (;;) {
    if (!memory_.may_use(claim)) return {};
    Run run;
    bool absent = false;
    {
      MutexLock lock(mutex_);
      const uint64_t before = held_;
      Slab* slab = heads_[kDirty]  ? heads_[kDirty]
                   : heads_[kIdle] ? heads_[kIdle]
                                   : heads_[kUsable];
      if (slab) run = take_from(slab, most);
      absent = held_ != before;
    }
    if (run.count == 0) {
      if (!grow(claim)) return {};
      continue;
    }
    if (absent && !populate_run(run, claim)) return {};
    if (run.count > most) {
      put_back({run.base + most * block_bytes_, run.count - most, run.zeroed}, false);
      run.count = most;
    }
    return run;
  }
}

// Makes absent blocks present: all, or fewer when memory is short. Returns false if there is none
// for even one.
bool SlabAllocator::populate_run(Run& run, Claim claim) {
  for (size_t count = run.count; count > 0; count /= 2) {
    if (!memory_.populate_for(claim, run.base, count * block_bytes_)) continue;
    if (count < run.count) {
      put_back({run.base + count * block_bytes_, run.count - count, run.zeroed}, true);
      run.count = count;
    }
    return true;
  }
  put_back(run, true);
  return false;
}

// Allocates more than `most` blocks if they are absent, because making several present at once
// costs little more.
SlabAllocator::Run SlabAllocator::take_from(Slab* slab, size_t most) {
  DCHECK(slab->free_count > 0);
  const bool dirty = slab->dirty_count > 0;
  const bool present = slab->free_count > slab->absent_count;
  const auto wanted = [&](size_t word) {
    if (dirty) return slab->dirty[word];
    return present ? slab->free[word] & ~slab->absent[word] : slab->free[word];
  };
  size_t word = 0;
  while (wanted(word) == 0) ++word;
  const size_t first = word * 64 + static_cast<size_t>(std::countr_zero(wanted(word)));
  const bool absent = !present;
  const auto alike = [&](size_t i) {
    return test(slab->free, i) && test(slab->dirty, i) == dirty && test(slab->absent, i) == absent;
  };
  if (absent) most = std::max(most, kPopulateBytes / block_bytes_);
  size_t count = 1;
  while (count < most && first + count < blocks_ && alike(first + count)) ++count;
  for (size_t i = first; i < first + count;) {
    const Part part = part_of_range(i, first + count);
    clear_free(slab, part.word, part.mask);
    i += part.count;
  }
  taken_ += count;
  return {address_of(slab, first), count, !dirty};
}

// ---- freeing

void SlabAllocator::free(Run run) {
  if (run.count > 0) put_back(run, false);
}

void SlabAllocator::put_back(Run run, bool absent) {
  Slab* slab = slab_of(run.base);
  Slab* dropped = nullptr;
  {
    MutexLock lock(mutex_);
    CHECK(slab->owner == this && taken_ >= run.count);
    taken_ -= run.count;
    const size_t first = index_of(run.base);
    CHECK(address_of(slab, first) == run.base && first + run.count <= blocks_);
    set_free_range(slab, first, first + run.count, !run.zeroed);
    for (size_t i = first; absent && i < first + run.count; ++i) {
      set_absent(slab, i / 64, uint64_t{1} << (i % 64));
    }
    dropped = drop_if_empty(slab, nullptr);
  }
  unmap_chain(dropped);
}

void SlabAllocator::retire(std::span<std::byte* const> blocks, const Epoch::Guard& guard) {
  if (blocks.empty()) return;
  const size_t list = epoch_.retire_list(guard);
  MutexLock lock(mutex_);
  CHECK(taken_ >= blocks.size());
  taken_ -= blocks.size();
  retired_ += blocks.size();
  for (std::byte* block : blocks) {
    Slab* slab = slab_of(block);
    CHECK(slab->owner == this);
    if (slab->retired_count[list]++ == 0) {
      slab->next_limbo[list] = limbo_[list];
      limbo_[list] = slab;
    }
    const size_t i = index_of(block);
    CHECK(address_of(slab, i) == block && !test(slab->free, i));
    for (const Bitmap& retired : slab->retired) CHECK(!test(retired, i));
    slab->retired[list][i / 64] |= uint64_t{1} << (i % 64);
  }
}

void SlabAllocator::reclaim(size_t index) noexcept {
  Slab* dropped = nullptr;
  bool purge_now = false;
  {
    MutexLock lock(mutex_);
    Slab* slab = limbo_[index];
    limbo_[index] = nullptr;
    while (slab) {
      Slab* next = slab->next_limbo[index];
      DCHECK(slab->retired_count[index] > 0);
      for (size_t w = 0; w < words_; ++w) {
        set_free(slab, w, std::exchange(slab->retired[index][w], 0), true);
      }
      retired_ -= std::exchange(slab->retired_count[index], 0);
      dropped = drop_if_empty(slab, dropped);
      slab = next;
    }
    purge_now = can_purge() && dirty_ * block_bytes_ > dirty_limit();
  }
  unmap_chain(dropped);
  if (purge_now) purge(false);
}

}  // namespace ramdisk
