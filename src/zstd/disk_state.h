// DiskState: the state that the parts of a compressing disk share, and the few steps on a locked
// page that several of them need.
//
//                           what it does                                       who calls it
//   ZstdDisk      serves requests                                              clients
//   Compactor     compresses the pages in the write cache                      any thread
//   Cleaner       turns gaps in segments into free memory                      any thread
//   MemoryRelief  makes room before a request is refused, and after a trim     any thread
//   Recompressor  makes cold pages smaller                                     first worker
//   Trainer       trains dictionaries, and retires old ones                    first worker
//   Maintenance   runs the last two, and does other work that can wait         first worker
//
// Invariants:
//   1. Members are declared in the order of their lifetimes: the epoch outlives everything that
//      retires into it, and the memory source outlives everything.
//   2. State that only one part needs is a member of that part, not of this class.
//
// Thread contract: each member has its own. Any thread may call the functions; one that takes a
// Guard must be called while pinned.

#ifndef RAMDISK_ZSTD_DISK_STATE_H
#define RAMDISK_ZSTD_DISK_STATE_H

#include <cstddef>
#include <cstdint>

#include "disk/registry.h"
#include "memory/memory_source.h"
#include "ramdisk/status.h"
#include "table/epoch.h"
#include "table/page_table.h"
#include "zstd/background.h"
#include "zstd/page_entry.h"
#include "zstd/page_store.h"
#include "zstd/training_samples.h"
#include "zstd/write_cache.h"

namespace ramdisk {

class DiskState {  // NOLINT(clang-analyzer-optin.performance.Padding): see invariant 1
 public:
  using Slot = PageTable::Slot;

  DiskState(const Environment& environment, uint64_t disk_bytes,
            const AllocatorOptions& allocator_options);
  ~DiskState() { memory.uncharge(fixed_bytes_); }
  DiskState(const DiskState&) = delete;
  DiskState& operator=(const DiskState&) = delete;

  // Charges the memory that compression needs in addition to the data. Call once, before the first
  // request. Returns false if there is no room for it.
  bool count_fixed(uint64_t bytes);

  // Publishes `entry` in place of the slot's old entry, unlocks the slot, and drops the old entry.
  void replace(Slot& slot, PageEntry entry, const Epoch::Guard& guard);

  // Publishes an uncompressed copy of `page`, puts it into the write cache, and unlocks the slot.
  // If the write cache or the memory has no room for it, returns false and leaves the slot locked.
  bool cache(Slot& slot, PageStore::Data page, const Epoch::Guard& guard);

  // Puts an admitted page into the write cache, and wakes the workers if they should look at it.
  void enqueue(uint64_t number) {
    if (write_cache.push(number)) background.wake();
  }

  // Call after a page has been compressed by itself, or for one page of a new group: it may then
  // serve as a training sample.
  void note_compressed(uint64_t number);

  // Checks whether the slot's page may take `bytes` of memory. Returns ENOSPC if other memory has
  // to be freed first.
  Status admit(const Slot& slot, size_t bytes);

  // Whether new pages may become groups, and memory be taken for several at once. Where memory may
  // become short they stay single until they are cold, because a full disk can be overwritten page
  // by page only if it knows what they take by themselves.
  bool may_group() const { return !memory.may_become_short(); }

  // Returns the memory that the disk would take if there were no gaps, no groups and no free
  // memory.
  uint64_t needed_bytes() const;

  // Returns memory that is kept for new pages to the system. The result says whether there was any.
  bool release_free_memory();

  const AllocatorOptions options;
  const BackgroundTiming pace;
  MemorySource& memory;
  mutable Epoch epoch;  // mutable: const functions pin it too
  PageStore pages;
  PageTable table;
  WriteCache write_cache;
  TrainingSamples samples;
  Background background;

 private:
  uint64_t fixed_bytes_ = 0;
};

}  // namespace ramdisk

#endif
