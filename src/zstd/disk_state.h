// DiskState: what the parts of a compressing disk share, and the few steps that several of them
// take with a locked page.
//
//                           what it does                                       who calls it
//   ZstdDisk      requests                                                     clients
//   Compactor     what waits in the write cache becomes compressed             anyone
//   Cleaner       gaps in segments become memory                               anyone
//   MemoryRelief  what is tried before a request is refused, and after a trim  anyone
//   Recompressor  cold pages become smaller                                    first worker
//   Trainer       samples become dictionaries, old ones come to their end      first worker
//   Maintenance   when the last two have their turn, and what else can wait    first worker
//
// Invariants:
//   1. Members are declared in the order of their lives: the epoch outlives what retires into it,
//      and memory outlives everything.
//   2. A state that one part alone needs is a member of that part, not of this class.
//
// Thread contract: each member has its own. The functions may be called from any thread; those that
// take a Guard use what only a pinned thread may use.

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

class DiskState {
 public:
  using Slot = PageTable::Slot;

  DiskState(const Environment& environment, uint64_t disk_bytes,
            const AllocatorOptions& allocator_options);
  ~DiskState() { memory.uncharge(fixed_bytes_); }
  DiskState(const DiskState&) = delete;
  DiskState& operator=(const DiskState&) = delete;

  // Counts what compression takes beside data, once, before the first request. False: there is no
  // room for it.
  bool count_fixed(uint64_t bytes);

  // Publishes `word` in place of what the slot holds, unlocks it, and drops what it held.
  void replace(Slot& slot, PageEntry word, const Epoch::Guard& guard);

  // Publishes a copy of `page` that waits to be compressed, and unlocks the slot. False, and the
  // slot stays locked, if the write cache or the memory has no room for it.
  bool cache(Slot& slot, PageStore::Data page, const Epoch::Guard& guard);

  // An admitted page waits from now on.
  void enqueue(uint64_t number) {
    if (write_cache.push(number)) background.wake();
  }

  // A page has been compressed, so it may serve as a sample.
  void note_compressed(uint64_t number);

  // Whether the slot's page may take `bytes`. ENOSPC if not: other memory would have to become free
  // first.
  Status admit(const Slot& slot, size_t bytes);

  // The memory that the disk would take if there were no gaps, no groups and no free memory.
  uint64_t needed_bytes() const;

  // Gives memory that is kept for new pages back to the system. Returns whether that was any.
  bool release_free_memory();

  const AllocatorOptions options;
  const BackgroundTiming pace;
  MemorySource& memory;
  mutable Epoch epoch;  // pinned by whoever looks at the disk
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
