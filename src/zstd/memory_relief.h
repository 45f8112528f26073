// MemoryRelief: what a compressing disk does when memory runs short. Before a request is refused,
// it empties the write cache and turns gaps into free memory; after a trim it returns memory to the
// system at once.
//
// Thread contract: any thread.

#ifndef RAMDISK_ZSTD_MEMORY_RELIEF_H
#define RAMDISK_ZSTD_MEMORY_RELIEF_H

#include <atomic>

#include "base/patience.h"
#include "zstd/cleaner.h"
#include "zstd/compactor.h"
#include "zstd/disk_state.h"

namespace ramdisk {

class MemoryRelief {
 public:
  MemoryRelief(DiskState& state, Compactor& compactor, Cleaner& cleaner)
      : state_(state), compactor_(compactor), cleaner_(cleaner) {}

  // Runs `request`, and runs it again while it fails for lack of memory, memory has been freed or
  // is on its way, and the patience lasts. The caller must not be pinned, or nothing could be
  // reclaimed. For a request that admit() refuses, only emptying the write cache can help.
  template <typename Request>
  Status with_memory(Patience& patience, Request request) {
    Status status = request();
    bool hope = true;
    for (int round = 0; hope && !status.ok() && patience.left(); ++round) {
      if (status.errnum() != ENOMEM && status.errnum() != ENOSPC) break;
      hope = status.errnum() == ENOMEM ? make_room(round) : compactor_.drain();
      status = request();
    }
    return status.errnum() == ENOSPC ? Status::no_memory() : status;
  }

  // Call after pages have been trimmed while memory was short. Returns the memory that is free now
  // to the system; gaps are left to the background threads, if there are any.
  void note_trimmed();

  // Returns some of the trimmed memory to the system. nothing: there is no more at present. busy:
  // another thread is cleaning, and will call this again.
  enum class Returned { some, nothing, busy };
  Returned return_trimmed();

  // Whether return_trimmed() may find something.
  bool trimmed() const { return trimmed_.load(std::memory_order_seq_cst); }

 private:
  bool make_room(int round);

  DiskState& state_;
  Compactor& compactor_;
  Cleaner& cleaner_;
  std::atomic<bool> trimmed_{false};  // while memory was short, so that there may be gaps to clean
};

}  // namespace ramdisk

#endif
